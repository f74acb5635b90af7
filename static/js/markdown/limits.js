/** What a block may cost before it is shown as plain text. Deeper nesting helps no reader and could overflow a stack. */
const MAX_DEPTH = 12;
const MAX_INDENT = 28;

const CONTAINER = /^([ \t]*)(>|[-*+](?=[ \t])|\d{1,9}[.)](?=[ \t]))/;

/**
 * Markdown whose quotes and lists nest at most 12 deep; markers beyond are shown as the signs they are.
 * @param {string} source
 */
export function limitNesting(source) {
  return source.split("\n").map(limitLine).join("\n");
}

function limitLine(line) {
  let at = 0;
  for (let depth = 0; ; depth += 1) {
    const container = CONTAINER.exec(line.slice(at, at + 400));
    if (!container) return at === 0 ? limitIndent(line) : line;
    if (depth === MAX_DEPTH) return `${line.slice(0, at)} \\${line.slice(at).trimStart()}`;
    if (depth === 0 && container[1].length > MAX_INDENT) return limitLine(limitIndent(line));
    at += container[0].length;
  }
}

function limitIndent(line) {
  const indent = /^[ \t]*/.exec(line)[0];
  return indent.length > MAX_INDENT ? " ".repeat(MAX_INDENT) + line.slice(indent.length) : line;
}

/** Whether emphasis or brackets are so many that parsing them could take long. @param {string} source */
export function isTangled(source) {
  const marks = source.match(/[*_~[\]`<]/g)?.length ?? 0;
  return marks > 600 && marks > source.length / 4;
}
