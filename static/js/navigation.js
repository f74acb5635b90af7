/**
 * The views of the page, in the order of the navigation. A ninth view is one more row, and its words under `nav.NAME`.
 * @type {{ name: string, icon: string, load: () => Promise<{ mount: Function }>, foot?: boolean }[]}
 */
export const VIEWS = [
  { name: "chat", icon: "chat", load: () => import("./views/chat.js") },
  { name: "models", icon: "models", load: () => import("./views/models.js") },
  { name: "system", icon: "system", load: () => import("./views/system.js") },
  { name: "engine", icon: "engine", load: () => import("./views/engine.js") },
  { name: "compare", icon: "compare", load: () => import("./views/compare.js") },
  { name: "bench", icon: "bench", load: () => import("./views/bench.js") },
  { name: "settings", icon: "settings", load: () => import("./views/settings.js"), foot: true },
];
