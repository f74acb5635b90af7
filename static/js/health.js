import { signal } from "./signal.js";

/** A dead server is told within 5 s: after this long without a word from it, it is asked, and has a time to answer. */
const EVERY_MS = 1900;
const PATIENCE_MS = 3000;
/** What the server says elsewhere shows that it lives, but not which model it has: that is asked for as often as this. */
const FRESH_MS = 8000;
const HIDDEN_EVERY_MS = 10000;

/**
 * Watches `/health`, and asks it only where nothing else that the server sends shows that it lives: the chunks of an answer,
 * the events of the engine, the figures of the system.
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
  let polledAt = 0;

  const tell = (name, facts) => {
    const last = state.value;
    state.set({ state: name, facts, since: name === last.state ? last.since : Date.now() });
  };

  async function poll() {
    polledAt = Date.now();
    try {
      const facts = await api.get("/health", { signal: AbortSignal.timeout(PATIENCE_MS) });
      tell(nameOf(facts), facts);
    } catch (error) {
      if (error.status === 503) tell("unwell", error);
      else tell("gone", state.value.facts);
    }
  }

  /** How long it may be left alone, in ms. */
  function restMs() {
    if (document.hidden) return polledAt + HIDDEN_EVERY_MS - Date.now();
    const heard = state.value.state === "ok" ? api.heardAt() : polledAt;
    return Math.min(Math.max(heard, polledAt) + EVERY_MS, polledAt + FRESH_MS) - Date.now();
  }

  function plan() {
    clearTimeout(timer);
    const rest = restMs();
    if (rest > 0) timer = setTimeout(plan, rest);
    else run();
  }

  function run() {
    clearTimeout(timer);
    polling ??= poll().finally(() => {
      polling = null;
      plan();
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
