/**
 * Cuts Markdown into blocks that can be rendered one by one, so that a growing answer renders only its end again.
 *
 * A block's text stands for itself. Long lists and tables are cut too: a block with `joins` goes on with the list or table of
 * the block before it, and its text repeats what it needs (a table's head). What comes after a block never changes it.
 *
 * @typedef {{ kind: "fence" | "math" | "table" | "list" | "quote" | "heading" | "rule" | "text", text: string, end: number,
 *   joins: boolean, closed: boolean }} Block `end` is the offset behind it; `closed` says that a fence or formula has its end.
 */

/**
 * Longer lists and tables are cut, at the next item or row; longer paragraphs and quotes at the next line or space. A list whose
 * one item is twice as long is cut at a line: parsing nested lists takes time that grows faster than they do.
 */
const LONG = 2000;

const FENCE = /^ {0,3}(`{3,}|~{3,})([^\n]*)$/;
const LIST = /^( {0,3})(?:[-*+]|\d{1,9}[.)])(?:[ \t]|$)/;
const INTERRUPTS = /^ {0,3}(?:[-*+] +\S|1[.)] +\S)/;
const HEADING = /^ {0,3}#{1,6}(?:[ \t]|$)/;
const RULE = /^ {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,200}$/;
const QUOTE = /^ {0,3}>/;
const MATH = /^\s{0,3}(\$\$|\\\[)/;
const SEPARATOR = /^ {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;

/**
 * @param {string} text
 * @param {number} from Offset of a block's beginning, such as an earlier block's `end`.
 * @param {Block | null} before The block that ends at `from`, which a long list or table may go on with.
 * @returns {Block[]} The last one may still grow if the text does.
 */
export const cutBlocks = (text, from = 0, before = null) => [...eachBlock(text, from, before)];

/** The same, each block when it is asked for. */
export function* eachBlock(text, from = 0, before = null) {
  let at = from;
  let last = before;
  while (at < text.length) {
    const line = lineAt(text, at);
    if (!line.text.trim()) {
      at = line.next;
      continue;
    }
    last = takeBlock(text, at, last);
    at = last.end;
    yield last;
  }
}

function takeBlock(text, at, last) {
  const { text: line, next } = lineAt(text, at);
  if (last?.goesOn === "list" && LIST.test(line)) return takeList(text, at, true);
  if (last?.goesOn === "table" && line.includes("|")) return takeTable(text, at, last.head);
  const fence = FENCE.exec(line);
  if (fence && !(fence[1][0] === "`" && fence[2].includes("`"))) return takeFence(text, at, fence[1]);
  const math = MATH.exec(line);
  if (math) return takeMath(text, at, math[1]);
  if (HEADING.test(line) && line.length < LONG) return block("heading", text, at, next);
  if (RULE.test(line)) return block("rule", text, at, next);
  if (LIST.test(line)) return takeList(text, at, false);
  if (QUOTE.test(line)) return takeQuote(text, at);
  if (line.includes("|") && SEPARATOR.test(lineAt(text, next).text) && next < text.length) {
    return takeTable(text, at, "");
  }
  return takeText(text, at);
}

/** @returns {Block & { goesOn?: string, head?: string }} */
const block = (kind, text, at, end, more = {}) => ({ kind, text: text.slice(at, end), end, joins: false, closed: true, ...more });

function takeFence(text, at, mark) {
  const closing = new RegExp(`^ {0,3}${mark[0]}{${mark.length},}[ \\t]*$`);
  let line = lineAt(text, at);
  while (line.next < text.length) {
    line = lineAt(text, line.next);
    if (closing.test(line.text)) return block("fence", text, at, line.next, { closed: line.whole });
  }
  return block("fence", text, at, text.length, { closed: false });
}

function takeMath(text, at, mark) {
  const opens = text.indexOf(mark, at) + mark.length;
  const closes = text.indexOf(mark === "$$" ? "$$" : "\\]", opens);
  const blank = text.indexOf("\n\n", opens);
  if (closes < 0 && blank < 0) return block("math", text, at, text.length, { closed: false });
  if (closes < 0 || (blank >= 0 && blank < closes)) return takeText(text, at);
  const end = closes + 2;
  // Words behind the formula on its line make it a part of a paragraph.
  return lineAt(text, end).text.trim() ? takeText(text, at) : block("math", text, at, lineAt(text, end).next);
}

function takeList(text, at, joins) {
  const indent = LIST.exec(lineAt(text, at).text)[1].length;
  let line = lineAt(text, at);
  let fence = fenceIn(line.text, null);
  let end = line.next;
  let blank = false;
  while (end < text.length) {
    line = lineAt(text, end);
    const isBlank = !line.text.trim();
    const isItem = LIST.test(line.text);
    if (!fence && !isBlank) {
      const outside = !isItem && !/^(?: {2,}|\t)/.test(line.text);
      if (outside && (blank || FENCE.test(line.text) || HEADING.test(line.text))) return block("list", text, at, end, { joins });
      if (RULE.test(line.text)) return block("list", text, at, end, { joins });
      if (end - at > 2 * LONG) return block("list", text, at, end, { joins });
      if (isItem && end - at > LONG && LIST.exec(line.text)[1].length <= indent) {
        return block("list", text, at, end, { joins, goesOn: "list" });
      }
    }
    fence = fenceIn(line.text, fence);
    blank = isBlank;
    end = line.next;
  }
  return block("list", text, at, end, { joins });
}

/** The fence that is open behind this line of a list item. */
function fenceIn(line, open) {
  const inner = line.replace(/^[ \t]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*/, "");
  const mark = /^(`{3,}|~{3,})(.*)$/.exec(inner);
  if (!mark) return open;
  if (!open) return mark[1][0] === "`" && mark[2].includes("`") ? null : mark[1];
  return mark[1][0] === open[0] && mark[1].length >= open.length && !mark[2].trim() ? null : open;
}

function takeTable(text, at, head) {
  let end = at;
  if (!head) {
    end = lineAt(text, lineAt(text, at).next).next;
    head = text.slice(at, end).replace(/\n?$/, "\n");
  }
  const joins = end === at;
  while (end < text.length) {
    const line = lineAt(text, end);
    if (!line.text.trim() || FENCE.test(line.text) || HEADING.test(line.text) || QUOTE.test(line.text)) break;
    if (end - at > LONG) return withHead(block("table", text, at, end, { joins, goesOn: "table", head }));
    end = line.next;
  }
  return withHead(block("table", text, at, end, { joins, head }));
}

const withHead = (made) => (made.joins ? { ...made, text: made.head + made.text } : made);

function takeQuote(text, at) {
  let end = lineAt(text, at).next;
  while (end < text.length) {
    const line = lineAt(text, end);
    if (!line.text.trim() || (!QUOTE.test(line.text) && (FENCE.test(line.text) || HEADING.test(line.text)))) break;
    if (end - at > LONG) break;
    end = line.next;
  }
  return block("quote", text, at, end);
}

function takeText(text, at) {
  let end = at;
  while (end < text.length) {
    const line = lineAt(text, end);
    const { text: words } = line;
    if (!words.trim()) break;
    if (end > at && (FENCE.test(words) || HEADING.test(words) || INTERRUPTS.test(words) || MATH.test(words))) break;
    if (line.next - at > LONG) return block("text", text, at, Math.max(end, longCut(text, at, line.next)));
    end = line.next;
  }
  return block("text", text, at, end);
}

function longCut(text, at, end) {
  if (end - at <= LONG) return end;
  const space = text.lastIndexOf(" ", at + LONG);
  let cut = space > at + LONG / 2 ? space + 1 : Math.min(end, at + LONG);
  if (/[\ud800-\udbff]/.test(text[cut - 1])) cut += 1;
  return cut;
}

/** @returns {{ text: string, next: number, whole: boolean }} `whole` says that its line feed has come. */
function lineAt(text, at) {
  const end = text.indexOf("\n", at);
  return end < 0 ? { text: text.slice(at), next: text.length, whole: false } : { text: text.slice(at, end), next: end + 1, whole: true };
}
