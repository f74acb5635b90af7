import { isAbort } from "../api.js";
import { signal } from "../signal.js";
import { warmUpOf, wavesOf } from "./plan.js";
import { measureWave, summarise } from "./wave.js";

/**
 * The tab's bench: a run goes on while another view is shown.
 *
 * Its value is `{ status, done, total, now, waves, rows, report, fault }`: `status` is "idle", "running", "done", "stopped"
 * or "failed"; `now` is the wave under way; `rows` are the results so far (wave.js); `report` is what can be saved.
 */
export function bench(app) {
  app.session.bench ??= createBench(app.api);
  return app.session.bench;
}

const IDLE = { status: "idle", done: 0, total: 0, now: null, waves: [], rows: [], report: null, fault: null };

function createBench(api) {
  const state = signal(IDLE);
  let ending = null;
  const change = (part) => state.set({ ...state.value, ...part });

  /** @param {import("./plan.js").Plan} plan */
  async function start(plan) {
    if (state.value.status === "running") return;
    ending = new AbortController();
    const { signal: abort } = ending;
    const salt = Math.floor(Math.random() * 1e6);
    const waves = wavesOf(plan, salt);
    state.set({ ...IDLE, status: "running", total: waves.length });
    const hidden = watchHidden();
    const circumstances = { plan, startedAt: new Date().toISOString() };
    try {
      Object.assign(circumstances, await circumstancesOf(api, abort));
      await measureWave(api, warmUpOf(plan, salt), { signal: abort });
      for (const wave of waves) {
        change({ now: wave });
        const figures = await measureWave(api, wave.body, { signal: abort });
        const measured = [...state.value.waves, { ...labelOf(wave), figures }];
        change({ waves: measured, rows: summarise(measured), done: measured.length });
      }
      change({ status: "done" });
    } catch (error) {
      change(isAbort(error) ? { status: "stopped" } : { status: "failed", fault: error });
    }
    change({ now: null, report: reportOf(circumstances, state.value, hidden.leave()) });
  }

  return Object.assign(state, { start, stop: () => ending?.abort() });
}

const labelOf = ({ prompt, concurrency, round }) => ({ prompt, concurrency, round });

async function circumstancesOf(api, signal) {
  const [health, memory] = await Promise.all([api.get("/health", { signal }), api.get("/api/system/memory", { signal })]);
  return {
    model: health.model,
    engine: health.engine,
    machine: `${memory.cpu.label}, ${memory.platform}`,
    sequencesOfOthers: health.num_running + health.num_waiting,
  };
}

/** A hidden tab is given less time by the browser, so a run says whether it was in one. */
function watchHidden() {
  let wasHidden = document.hidden;
  const look = () => (wasHidden ||= document.hidden);
  document.addEventListener("visibilitychange", look);
  return {
    leave() {
      document.removeEventListener("visibilitychange", look);
      return wasHidden;
    },
  };
}

function reportOf({ plan, startedAt, model, engine, machine, sequencesOfOthers }, { status, rows, waves }, wasHidden) {
  return {
    kind: "obeaver bench",
    method:
      "Each round is one streamed request of /v1/completions with `concurrency` texts at once, timed in the browser. " +
      "Each text begins with a number of its own, so nothing comes from the prefix cache. The end of the text is ignored, so all answers " +
      "have the same length. One request that is not counted comes first. Figures are medians over rounds and texts.",
    status,
    started_at: startedAt,
    model,
    engine,
    machine,
    browser: navigator.userAgent,
    sequences_of_others_at_the_start: sequencesOfOthers,
    tab_was_hidden: wasHidden,
    prompts: plan.prompts,
    rounds: plan.rounds,
    answer_tokens: plan.answerTokens,
    rows,
    waves: waves.map(({ figures, ...label }) => ({ ...label, ...snakeCase(figures) })),
  };
}

const snakeCase = (object) =>
  Object.fromEntries(Object.entries(object).map(([name, value]) => [name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), value]));
