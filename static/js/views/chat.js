import { h } from "../dom.js";

/** See main.js for the contract of a view. */
export function mount(root, { t, shell }) {
  root.append(h("section.page", {}, h("header", {}, shell.menuButton(), h("h1", {}, t("nav.chat")))));
  return { unmount() {} };
}
