import { createHistory } from "../charts/history.js";
import { poll } from "../polling.js";
import { signal } from "../signal.js";

const EVERY_MS = 3000;
export const SPAN_S = 600;

/**
 * Asks for `/api/system/memory` every three seconds from the first look at it on, as long as the tab lives and is visible,
 * so that the lines of the last ten minutes go on while another view is shown.
 *
 * Its value is `{ memory, devices, fault }`: the last answer (null before the first), each device's name in the order of
 * the answer, and the error of the last call, null where it went well. `history(name)` has `used` in MB for a device, and
 * `rss` and `cpu` for "process".
 */
export function systemSampler(app) {
  app.session.systemSampler ??= createSampler(app.api);
  return app.session.systemSampler;
}

function createSampler(api) {
  const state = signal({ memory: null, devices: [], fault: null });
  const histories = new Map();
  const history = (name, columns) => {
    if (!histories.has(name)) histories.set(name, createHistory(columns, { spanS: SPAN_S }));
    return histories.get(name);
  };

  poll(async (abort) => {
    try {
      const memory = await api.get("/api/system/memory", { signal: abort });
      const nowS = Date.now() / 1000;
      const devices = devicesOf(memory);
      for (const { name, facts } of devices) history(name, ["used"]).add(nowS, { used: isThere(facts) ? facts.used_mb : null });
      const { rss_mb: rss, cpu_percent: cpu } = memory.process;
      history("process", ["rss", "cpu"]).add(nowS, { rss, cpu });
      state.set({ memory, devices, fault: null });
    } catch (error) {
      state.set({ ...state.value, fault: error });
    }
  }, EVERY_MS);

  return Object.assign(state, { history: (name) => histories.get(name) });
}

/** Whether a device is there. @param {{ status: string }} facts */
export const isThere = ({ status }) => status !== "unavailable";

/** The devices of an answer, several of a kind each by its own name. @returns {{ name: string, kind: string, facts: any }[]} */
export function devicesOf(memory) {
  return ["cpu", "gpu", "npu"].flatMap((kind) => {
    const several = memory[`${kind}s`];
    if (!Array.isArray(several) || several.length < 2) return [{ name: kind, kind, facts: memory[kind] }];
    return several.map((facts, at) => ({ name: `${kind}${at}`, kind, facts }));
  });
}
