import { fill, h } from "../dom.js";

const left = new WeakMap();

/** The line at the foot of the sidebar: which model answers, or what is wrong with the server. */
export function serverLine(app) {
  const dot = h("span.server-dot", { "aria-hidden": "true" });
  const words = h("span.server-words");
  const line = h("div.server-line", { role: "status" }, dot, words);
  let last = "";
  const leave = app.health.subscribe((health) => {
    const text = serverWords(health, app.t);
    dot.dataset.state = health.facts?.load?.status === "loading" ? "loading" : health.state;
    line.title = health.facts?.engine ?? text;
    if (text !== last) fill(words, text);
    last = text;
  });
  left.set(line, leave);
  return line;
}

serverLine.leave = (root) => left.get(root.querySelector(".server-line"))?.();

/** @returns {string} */
export function serverWords({ state, facts }, t) {
  if (state === "gone") return t("server.gone");
  if (state === "connecting") return t("server.connecting");
  if (state === "unwell") return t("server.unwell");
  if (facts.load?.status === "loading") return t("server.loading", { model: facts.load.model });
  return state === "empty" ? t("server.empty") : facts.model;
}
