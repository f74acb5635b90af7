/** Presets that come with the page. A person's own are in the library. They set these parameters and clear all others but the seed. */
export const PRESETS = [
  { name: "creative", parameters: { temperature: 1.1, top_p: 0.95, min_p: 0.05 } },
  { name: "balanced", parameters: { temperature: 0.7, top_p: 0.95 } },
  { name: "precise", parameters: { temperature: 0.2, top_p: 0.9, top_k: 20 } },
];

/** @param {Record<string, unknown>} preset @param {Record<string, unknown>} current */
export function withPreset(preset, current) {
  const { seed } = current;
  return { ...preset, ...(seed === undefined || "seed" in preset ? {} : { seed }) };
}

/** Whether the current parameters are exactly a preset's, seed aside. */
export function isPreset(preset, { seed: _seed, ...current }) {
  const names = new Set([...Object.keys(preset), ...Object.keys(current)]);
  return [...names].every((name) => name === "seed" || JSON.stringify(preset[name]) === JSON.stringify(current[name]));
}
