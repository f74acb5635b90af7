import { signal } from "../signal.js";

const EVERY_MS = 300;

/**
 * The load of a model that this tab asked for, or that `/health` tells of. The old model answers on until the new one is there.
 *
 * Its value is null, or `{ model, status, stage, seconds, fault }`: `status` is "loading", "ok" or "failed"; `fault` has
 * the server's own words. A failure stays until it is put away.
 */
export function modelLoad(app) {
  app.session.modelLoad ??= createModelLoad(app);
  return app.session.modelLoad;
}

function createModelLoad({ api, health }) {
  const state = signal(null);
  let putAway = "";
  let asking = 0;

  const keyOf = ({ model, status, seconds }) => `${model} ${status} ${seconds}`;

  health.subscribe(({ facts, state: server }) => {
    const load = server === "gone" ? null : facts?.load;
    if (!load) return;
    if (keyOf(load) !== putAway) state.set({ ...load, fault: load.error?.message ?? null });
    if (load.status === "loading" && !asking) {
      asking = setTimeout(() => {
        asking = 0;
        health.now();
      }, EVERY_MS);
    }
  });

  return Object.assign(state, {
    /** @param {string} alias A model of `/api/models/available`. */
    async start(alias) {
      // What `/health` tells until the server has begun is an earlier load's end.
      if (health.value.facts?.load) putAway = keyOf(health.value.facts.load);
      state.set({ model: alias, status: "loading", stage: "", seconds: 0, fault: null });
      try {
        await api.post("/api/models/load?wait=false", { alias });
        await health.now();
      } catch (error) {
        state.set({ model: alias, status: "failed", seconds: 0, fault: error.message });
      }
    },
    putAway() {
      if (state.value) putAway = keyOf(state.value);
      state.set(null);
    },
  });
}
