/**
 * The last block of a growing answer, as it will probably look when it is whole: marks that are still open are closed, and
 * half a link shows its words. So nothing flickers when the missing signs arrive.
 * @param {string} source
 * @param {"text" | "list" | "quote" | "table" | "heading" | "rule" | "math" | "fence"} kind
 */
export function heal(source, kind) {
  if (kind === "table" || kind === "fence" || kind === "math" || kind === "rule") return source;
  // A table's first line, before the line that makes it one; and a lone mark, which may become anything.
  if (kind === "text" && /^ {0,3}\|[^\n]*$/.test(source)) return `${source.trimEnd().replace(/\|$/, "")}|\n${separator(source)}`;
  if (/(?:^|\n) {0,3}(?:[-*+]|`{1,2}|#{1,6}|\d{1,9}[.)]?)$/.test(source)) return source.replace(/[^\n]*$/, "");
  return closeMarks(withoutHalfLink(source));
}

const separator = (row) => `|${"---|".repeat(Math.max(1, row.replace(/^\s*\||\|\s*$/g, "").split("|").length))}`;

function withoutHalfLink(source) {
  const opened = /!?\[([^[\]\n]*)(?:\]\([^()\s]*|\])?$/.exec(source);
  if (!opened || source[opened.index - 1] === "\\") return source;
  if (/^!?\[[ xX]?\]?$/.test(opened[0])) return source;
  return source.slice(0, opened.index) + opened[1];
}

function closeMarks(source) {
  const last = source.slice(source.lastIndexOf("\n\n") + 1);
  const ticks = last.match(/(?<!`)`(?!`)/g)?.length ?? 0;
  if (ticks % 2) return `${source}\``;
  const plain = last.replace(/`[^`\n]*`/g, "").replace(/^\s*[*+-]\s/gm, "").replace(/\\./g, "");
  let closed = source.replace(/(?<=[\s(]|^)(\*{1,3}|__?|~~)$/, "");
  if (closed !== source) return closed;
  const strong = plain.match(/\*\*/g)?.length ?? 0;
  const single = plain.replace(/\*\*/g, "").match(/(?<=^|[\s("'])\*(?=\S)|(?<=\S)\*(?=\s|[.,;:!?)"']|$)/g)?.length ?? 0;
  if (single % 2 && /\*\S[^*]*$/.test(plain)) closed = `${closed.trimEnd()}*`;
  if (strong % 2) closed = /\*$/.test(closed) && !/\*\*$/.test(closed) && single % 2 === 0 ? `${closed}*` : `${closed.trimEnd()}**`;
  if ((plain.match(/~~/g)?.length ?? 0) % 2) closed = `${closed.trimEnd()}~~`;
  return closed;
}
