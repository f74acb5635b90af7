/** Formulas: how they are found in Markdown, and how they are set. KaTeX is fetched when the first one is shown. */

import { work } from "./frame_work.js";

const escape = (text) => text.replace(/[&<>]/g, (sign) => `&#${sign.charCodeAt(0)};`);

/** A dollar opens before a sign that is no space and closes behind one, and no digit follows: prices stay prices. */
const INLINE = /^(?:\$(?![\s$])((?:\\.|[^\\$\n]){1,600}?)(?<!\s)\$(?![\d$])|\\\(((?:\\(?!\))|[^\\\n]){1,600}?)\\\)|\$\$((?:\\.|[^\\$\n]){1,600}?)\$\$)/;
const BLOCK = /^ {0,3}(?:\$\$([^]*?)\$\$|\\\[([^]*?)\\\])[ \t]*(?:\n|$)/;

/** Extensions of marked. */
export const mathExtensions = [
  {
    name: "inlineMath",
    level: "inline",
    start: (source) => /\$|\\\(/.exec(source)?.index,
    tokenizer: (source) => token("inlineMath", INLINE.exec(source)),
    renderer: ({ text }) => `<code class="math-inline">${escape(text)}</code>`,
  },
  {
    name: "blockMath",
    level: "block",
    start: (source) => /(?:^|\n) {0,3}(?:\$\$|\\\[)/.exec(source)?.index,
    tokenizer: (source) => token("blockMath", BLOCK.exec(source)),
    renderer: ({ text }) => `<pre><code class="math-block">${escape(text)}</code></pre>`,
  },
];

function token(type, match) {
  if (!match) return undefined;
  return { type, raw: match[0], text: (match.slice(1).find((part) => part !== undefined) ?? "").trim() };
}

let katex = null;

/** Formulas that are set in one answer at most; the rest stay as they were written. */
const MAX_FORMULAS = 2000;

/**
 * Sets formulas where the text that made them stands until then, a few of them a frame.
 * @returns {{ add(root: ParentNode): void }}
 */
export function createFormulas() {
  const queue = [];
  let count = 0;
  let render = null;

  function step(deadline) {
    while (queue.length && performance.now() < deadline) setFormula(render, queue.shift());
    return queue.length > 0;
  }

  async function begin() {
    katex ??= loadKatex();
    ({ render } = await katex);
    work(step);
  }

  return {
    add(root) {
      const found = [...root.querySelectorAll("code.math-inline, code.math-block")].slice(0, MAX_FORMULAS - count);
      count += found.length;
      queue.push(...found);
      if (found.length) begin();
    },
  };
}

function setFormula(render, code) {
  const displayMode = code.classList.contains("math-block");
  const place = document.createElement("span");
  place.className = displayMode ? "formula formula-block" : "formula";
  try {
    // Built as DOM, not as HTML: KaTeX's own style attributes would need `unsafe-inline`.
    render(code.textContent, place, { displayMode, throwOnError: true, trust: false, strict: "ignore", maxSize: 20, maxExpand: 200 });
  } catch {
    code.classList.remove("math-inline", "math-block");
    return;
  }
  place.setAttribute("role", "math");
  (displayMode ? (code.closest("pre") ?? code) : code).replaceWith(place);
}

async function loadKatex() {
  const style = document.createElement("link");
  style.rel = "stylesheet";
  style.href = new URL("../../vendor/katex/katex.css", import.meta.url).href;
  document.head.append(style);
  return import("../../vendor/katex/katex.js");
}
