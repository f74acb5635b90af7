import { h } from "../dom.js";
import { codeBlock } from "./code_block.js";
import { eachBlock } from "./cutter.js";
import { drop, work } from "./frame_work.js";
import { heal } from "./heal.js";
import { createFormulas } from "./math.js";
import { createOutline } from "./outline.js";
import { renderBlock } from "./render.js";

/**
 * Markdown that may grow: finished blocks are rendered once and never again, only the last one is rendered anew.
 *
 * A text that is whole from the beginning and takes longer than a frame is shown as it was written until all of it is rendered:
 * a page that grew by a few blocks a frame would move under its reader, and a browser would lay it out each time.
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
  /** The blocks behind what is settled, cut as they are needed. */
  let blocks = null;
  /** Where blocks go: the root, or what will be put there when it is complete. @type {ParentNode & Node} */
  let host = root;
  const formulas = createFormulas();
  let outline = createOutline();
  root.classList.add("markdown");

  /** At least one block a call, however late in its frame the call comes: a busy page must not wait for ever. */
  function step(deadline) {
    blocks ??= markLast(eachBlock(text, settled, before));
    for (let next = blocks.next(); !next.done; next = blocks.next()) {
      const { block, isLast } = next.value;
      if (isLast && !isFinished(block)) {
        blocks = null;
        showTail(block);
        return false;
      }
      settle(block);
      if (performance.now() > deadline) return true;
    }
    if (whole) finish();
    return false;
  }

  function begin() {
    whole = false;
    settled = 0;
    before = null;
    tail = null;
    host = root;
    outline = createOutline();
    root.replaceChildren();
  }

  /** @param {string} next */
  function take(next) {
    if (next !== text) blocks = null;
    text = next;
  }

  const isFinished = (block) => whole || (block.kind === "fence" && block.closed);

  function settle(block) {
    clearTail(block);
    if (block.kind === "fence") settleFence(block);
    else place(renderBlock(block.text), block, host);
    settled = block.end;
    before = block;
  }

  function settleFence(block) {
    const code = tail?.code ?? codeBlock("", fenceParts(block).language, t);
    const { body, language } = fenceParts(block);
    code.grow(body, language);
    if (!tail?.code) host.append(code.element);
    tail = null;
    code.colour();
  }

  /** The unfinished block. One that is dear to render is rendered less often. */
  function showTail(block) {
    if (block.kind === "fence") return growFence(block);
    const begun = performance.now();
    if (begun < restAt && tail) return later();
    clearTail(block);
    const slot = h("div.tail");
    tail = { slot };
    root.append(slot);
    place(renderBlock(heal(block.text, block.kind)), { ...block, tail: true }, slot);
    const cost = performance.now() - begun;
    restAt = cost > 4 ? begun + cost * 6 : 0;
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
    outline(fragment, !block.tail);
    for (const pre of fragment.querySelectorAll("pre > code:not(.math-block)")) placeCode(pre.parentElement, block);
    for (const table of fragment.querySelectorAll("table")) {
      const frameOfTable = h("div.table-frame", { tabindex: "0", role: "group", "aria-label": t("markdown.table") });
      table.replaceWith(frameOfTable);
      frameOfTable.append(table);
    }
    if (!block.tail) formulas.add(fragment);
    if (block.joins && !block.tail && host.lastElementChild) join(host.lastElementChild, fragment);
    else parent.append(fragment);
  }

  function placeCode(pre, block) {
    const code = pre.firstElementChild;
    const made = codeBlock(code.textContent.replace(/\n$/, ""), code.className.replace("language-", ""), t);
    pre.replaceWith(made.element);
    if (!block.tail) made.colour();
  }

  function later() {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      work(step);
    });
  }

  function finish() {
    if (host !== root) root.replaceChildren(host);
    host = root;
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
      take(next);
      work(step);
    },
    /** Shows the whole text, in slices. @param {string} next @returns {Promise<void>} when all of it stands. */
    finish(next) {
      if (!root.hasChildNodes()) host = document.createDocumentFragment();
      take(next);
      whole = true;
      const done = new Promise((resolve) => waiting.push(resolve));
      work(step);
      if (host !== root && !root.hasChildNodes()) root.append(h("div.plain-text.unrendered", {}, text));
      return done;
    },
    stop() {
      drop(step);
      cancelAnimationFrame(frame);
    },
  };
}

/** @param {Iterable<object>} blocks */
function* markLast(blocks) {
  let held = null;
  for (const block of blocks) {
    if (held) yield { block: held, isLast: false };
    held = block;
  }
  if (held) yield { block: held, isLast: true };
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
