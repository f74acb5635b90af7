import { poll } from "../polling.js";
import { signal } from "../signal.js";

const EVERY_MS = 1000;
const QUIET_EVERY_MS = 10_000;

/**
 * Fetching models, where the server was started with `--allow-pull`.
 *
 * Its value is `{ allowed, pull, fault }`: `pull` is the latest one as `/api/models/pull` tells it, null where there was none;
 * `fault` is what the server said to a pull that it did not begin.
 * @param {object} app @param {() => void} onDone Called when a pull has ended well.
 */
export function watchPulls({ api }, onDone) {
  const state = signal({ allowed: false, pull: null, fault: null });
  let wasRunning = false;
  let asking = poll(ask, QUIET_EVERY_MS);

  async function ask(abort) {
    const { allowed, pulls } = await api.get("/api/models/pull", { signal: abort });
    const pull = pulls[0] ?? null;
    const isRunning = pull?.status === "running";
    state.set({ ...state.value, allowed, pull });
    if (wasRunning && pull?.status === "done") onDone();
    if (isRunning !== wasRunning) {
      wasRunning = isRunning;
      asking.stop();
      asking = poll(ask, isRunning ? EVERY_MS : QUIET_EVERY_MS);
    }
  }

  async function tell(path, body) {
    try {
      await api.post(path, body);
      state.set({ ...state.value, fault: null });
    } catch (error) {
      state.set({ ...state.value, fault: error.message });
    }
    asking.now();
  }

  return Object.assign(state, {
    /** @param {string} model A name of the catalogue, or an `hf:` address. */
    start: (model) => tell("/api/models/pull", { model }),
    cancel: (id) => tell(`/api/models/pull/${encodeURIComponent(id)}/cancel`, {}),
    stop: () => asking.stop(),
  });
}
