import { h } from "../dom.js";

/** Children that are shown open, and in one go. */
const OPEN_DEPTH = 2;
const MAX_ITEMS = 200;
const MAX_DEPTH = 60;

/**
 * A JSON value as a tree that folds. @param {unknown} value @returns {HTMLElement}
 */
export function jsonTree(value) {
  return h("div.json-tree", {}, branch(null, value, 0));
}

function branch(name, value, depth) {
  const label = name === null ? null : [h("span.json-name", {}, name), ": "];
  if (value === null || typeof value !== "object") return h("div.json-leaf", {}, label, leaf(value));
  const entries = Object.entries(value);
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  if (!entries.length) return h("div.json-leaf", {}, label, open + close);
  if (depth >= MAX_DEPTH) return h("div.json-leaf", {}, label, "…");
  const body = h("div.json-children");
  const show = () => body.childElementCount || body.append(...children(entries, Array.isArray(value), depth));
  const isOpen = depth < OPEN_DEPTH;
  if (isOpen) show();
  return h(
    "details.json-branch",
    { open: isOpen, ontoggle: show },
    h("summary", {}, label, `${open} `, h("span.json-count", {}, String(entries.length)), ` ${close}`),
    body,
  );
}

function children(entries, isArray, depth) {
  const shown = entries.slice(0, MAX_ITEMS).map(([name, item]) => branch(isArray ? Number(name) : name, item, depth + 1));
  return entries.length > MAX_ITEMS ? [...shown, h("div.json-leaf", {}, `… ${entries.length - MAX_ITEMS}`)] : shown;
}

function leaf(value) {
  const kind = value === null ? "null" : typeof value;
  return h(`span.json-${kind}`, {}, typeof value === "string" ? JSON.stringify(value) : String(value));
}
