import { h } from "../dom.js";
import { codeBlock } from "./code_block.js";
import { cutBlocks } from "./cutter.js";
import { heal } from "./heal.js";
import { createFormulas } from "./math.js";
import { renderBlock } from "./render.js";

/** Time in ms that one call may spend on blocks; what is left is done in the next frames. */
const SLICE_MS = 7;

/**
 * Markdown that may grow: finished blocks are rendered once and never again, only the last one is rendered anew.
 * @param {HTMLElement} root Empty, and owned by this from now on.
 * @param {(key: string) => string} t
 */
export function createMarkdown(root, t) {
  let text = "";
  let whole = false;
  let settled = 0;
  let before = null;
  let tail = null;
  let restAt = 0;
  let frame = 0;
  let waiting = [];
  const formulas = createFormulas();
  root.classList.add("markdown");

  /** At least one block a call, however late in its frame the call comes: a busy page must not wait for ever. */
  function work() {
    frame = 0;
    const now = performance.now();
    const deadline = now + SLICE_MS;
    const from = settled;
    const blocks = cutBlocks(text, settled, before);
    const last = blocks.at(-1);
    for (const block of blocks) {
      if (block === last && !isFinished(block)) break;
      if (settled > from && performance.now() > deadline) return again();
      settle(block);
    }
    if (last && last.end > settled && !isFinished(last)) showTail(last, now);
    else if (whole) finish();
  }

  function begin() {
    whole = false;
    settled = 0;
    before = null;
    tail = null;
    root.replaceChildren();
  }

  const isFinished = (block) => whole || (block.kind === "fence" && block.closed);

  function settle(block) {
    clearTail(block);
    if (block.kind === "fence") settleFence(block);
    else place(renderBlock(block.text), block, root);
    settled = block.end;
    before = block;
  }

  function settleFence(block) {
    const code = tail?.code ?? codeBlock("", fenceParts(block).language, t);
    const { body, language } = fenceParts(block);
    code.grow(body, language);
    if (!tail?.code) root.append(code.element);
    tail = null;
    code.colour();
  }

  /** The unfinished block. One that is dear to render is rendered less often. */
  function showTail(block, now) {
    if (block.kind === "fence") return growFence(block);
    if (now < restAt && tail) return again();
    const begun = performance.now();
    clearTail(block);
    const slot = h("div.tail");
    tail = { slot };
    root.append(slot);
    place(renderBlock(heal(block.text, block.kind)), { ...block, tail: true }, slot);
    const cost = performance.now() - begun;
    restAt = cost > 4 ? now + cost * 6 : 0;
  }

  function growFence(block) {
    const { body, language } = fenceParts(block);
    if (!tail?.code) {
      clearTail(block);
      tail = { code: codeBlock(body, language, t) };
      root.append(tail.code.element);
    }
    tail.code.grow(body, language);
  }

  function clearTail(next) {
    if (!tail || (tail.code && next.kind === "fence")) return;
    (tail.slot ?? tail.code.element).remove();
    tail = null;
  }

  function place(fragment, block, parent) {
    for (const pre of fragment.querySelectorAll("pre > code:not(.math-block)")) placeCode(pre.parentElement, block);
    for (const table of fragment.querySelectorAll("table")) {
      const frameOfTable = h("div.table-frame", { tabindex: "0", role: "region", "aria-label": t("markdown.table") });
      table.replaceWith(frameOfTable);
      frameOfTable.append(table);
    }
    const host = root.querySelector(":scope > :nth-last-child(1 of :not(.tail))");
    if (!block.tail) formulas.add(fragment);
    if (block.joins && !block.tail && host) join(host, fragment);
    else parent.append(fragment);
  }

  function placeCode(pre, block) {
    const code = pre.firstElementChild;
    const made = codeBlock(code.textContent.replace(/\n$/, ""), code.className.replace("language-", ""), t);
    pre.replaceWith(made.element);
    if (!block.tail) made.colour();
  }

  function again() {
    frame ||= requestAnimationFrame(work);
  }

  function finish() {
    if (tail?.code) {
      tail.code.colour();
      tail = null;
    }
    for (const resolve of waiting.splice(0)) resolve();
  }

  return {
    /** Shows this text; it begins with what was shown before. Call it once a frame. @param {string} next */
    grow(next) {
      // What was whole goes on: its last block may be another one now.
      if (whole) begin();
      text = next;
      if (!frame) work();
    },
    /** Shows the whole text, in slices. @param {string} next @returns {Promise<void>} when all of it stands. */
    finish(next) {
      text = next;
      whole = true;
      const done = new Promise((resolve) => waiting.push(resolve));
      if (!frame) work();
      return done;
    },
    stop: () => cancelAnimationFrame(frame),
  };
}

/** Rows or items after which a table or list goes on in a new one: a browser lays a table out as a whole. */
const MAX_JOINED = 400;

/** A list or table goes on in the one that stands already. */
function join(host, fragment) {
  const from = fragment.querySelector("tbody") ?? fragment.firstElementChild;
  const to = host.querySelector("tbody") ?? host;
  if (from && /^(OL|UL|TBODY)$/.test(to.tagName) && to.childElementCount < MAX_JOINED) to.append(...from.children);
  else host.after(fragment);
}

function fenceParts({ text, closed }) {
  const lines = text.replace(/\n$/, "").split("\n");
  const [, indent, language] = /^( {0,3})[`~]+\s*(\S*)/.exec(lines[0]);
  const body = lines.slice(1, closed ? -1 : undefined);
  const strip = new RegExp(`^ {0,${indent.length}}`);
  return { language: language.replace(/[^\w+#.-]/g, "").slice(0, 40), body: (indent ? body.map((line) => line.replace(strip, "")) : body).join("\n") };
}
