/**
 * Calls a task again and again while somebody looks: at once, then `everyMs` after the last call ended. A hidden tab asks
 * nothing; when it is shown again, it asks at once.
 * @param {(signal: AbortSignal) => Promise<void>} task Its errors are its own affair: what it throws is left out.
 * @param {number} everyMs
 * @returns {{ stop(): void, now(): void }} `now` asks at once.
 */
export function poll(task, everyMs) {
  const ending = new AbortController();
  let timer = 0;
  let isBusy = false;

  async function run() {
    clearTimeout(timer);
    if (isBusy || document.hidden || ending.signal.aborted) return;
    isBusy = true;
    await task(ending.signal).catch(() => {});
    isBusy = false;
    if (!ending.signal.aborted) timer = setTimeout(run, everyMs);
  }

  document.addEventListener("visibilitychange", run);
  run();
  return {
    now: run,
    stop() {
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", run);
      ending.abort();
    },
  };
}
