import { h } from "./dom.js";

/** Rows of a `dl.facts`: a name and a value each. @param {[string, string | Node][]} pairs @returns {HTMLElement[]} */
export const rows = (pairs) => pairs.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd.numbers", {}, value)));
