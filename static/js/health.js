import { signal } from "./signal.js";

/** A dead server is told within 5 s: a poll begins at most 1.5 s after the last one and waits at most 3 s. */
const EVERY_MS = 1500;
const HIDDEN_EVERY_MS = 10000;
const PATIENCE_MS = 3000;

/**
 * Watches `/health`.
 *
 * The signal's value is `{ state, facts, since }`: `state` is "connecting" before the first answer, "ok", "unwell" where the
 * server answers but says that it cannot work (503), "empty" where it has no model, or "gone" where nothing answers;
 * `facts` is the last body of `/health` that came, `since` the time in ms at which this state began.
 * @param {ReturnType<typeof import("./api.js").createApi>} api
 */
export function watchHealth(api) {
  const state = signal({ state: "connecting", facts: null, since: Date.now() });
  let timer = 0;
  let polling = null;

  const tell = (name, facts) => {
    const last = state.value;
    state.set({ state: name, facts, since: name === last.state ? last.since : Date.now() });
  };

  async function poll() {
    try {
      const facts = await api.get("/health", { signal: AbortSignal.timeout(PATIENCE_MS) });
      tell(nameOf(facts), facts);
    } catch (error) {
      if (error.status === 503) tell("unwell", error);
      else tell("gone", state.value.facts);
    }
  }

  function run() {
    clearTimeout(timer);
    polling ??= poll().finally(() => {
      polling = null;
      timer = setTimeout(run, document.hidden ? HIDDEN_EVERY_MS : EVERY_MS);
    });
    return polling;
  }

  document.addEventListener("visibilitychange", () => document.hidden || run());
  window.addEventListener("online", run);
  run();
  return Object.assign(state, {
    /** Asks at once, as after a load. */
    now: run,
  });
}

const nameOf = (facts) => (facts.status === "ok" && facts.model ? "ok" : "empty");
