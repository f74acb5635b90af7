import { createHistory } from "../charts/history.js";
import { poll } from "../polling.js";
import { signal } from "../signal.js";

const EVERY_MS = 3000;
const KINDS = ["cpu", "gpu", "npu"];
export const SPAN_S = 600;

/**
 * Asks for `/api/system/memory` every three seconds from the first look at it on, as long as the tab lives and is visible,
 * so that the lines of the last ten minutes go on while another view is shown.
 *
 * Its value is `{ memory, devices, fault }`: the last answer (null before the first), the devices in it, and the error of the last call, null where it went well. `history(name)` has `used` in MB for a device, and
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
      for (const { kind, facts } of devices) history(kind, ["used"]).add(nowS, { used: facts.tells_memory ? facts.used_mb : null });
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

/** The devices of an answer. @returns {{ kind: string, facts: any }[]} */
const devicesOf = (memory) => KINDS.map((kind) => ({ kind, facts: memory[kind] }));
