/**
 * JSON that a person types: its value, or where it is wrong.
 * @param {string} text
 * @returns {{ value: any } | { line: number, column: number, reason: string }} `reason` is the key of i18n's words.
 */
export function readJson(text) {
  try {
    return { value: JSON.parse(text) };
  } catch {
    const { at, expected } = firstFault(text);
    const before = text.slice(0, at);
    return { line: before.split("\n").length, column: at - before.lastIndexOf("\n"), reason: `json.${expected}` };
  }
}

/** One token; a string ends on its line, and everything else is as RFC 8259 has it. */
const TOKEN = /[ \t\n\r]*(?:("(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*")|(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.])|true\b|false\b|null\b)|([{}[\],:]))/y;

/**
 * The place of the first token that cannot stand where it stands, and what could. Browsers do not say it: their errors
 * quote a part of the text instead.
 */
function firstFault(text) {
  const open = [];
  let expected = "value";
  for (let at = 0; ; at = TOKEN.lastIndex) {
    TOKEN.lastIndex = at;
    const token = TOKEN.exec(text);
    const place = at + /^[ \t\n\r]*/.exec(text.slice(at))[0].length;
    if (!token) return { at: place, expected };
    const next = after(expected, token, open);
    if (!next) return { at: place, expected };
    expected = next;
  }
}

/** What may follow a token; undefined where the token itself is wrong. */
function after(expected, [, string, scalar, sign], open) {
  const isValue = expected === "value" || expected === "valueOrEnd";
  const isKey = expected === "key" || expected === "keyOrEnd";
  const valueDone = () => (open.length ? (open.at(-1) === "[" ? "commaOrBracket" : "commaOrBrace") : "end");
  if (string && isKey) return "colon";
  if ((string || scalar) && isValue) return valueDone();
  if ((sign === "{" || sign === "[") && isValue) return open.push(sign), sign === "{" ? "keyOrEnd" : "valueOrEnd";
  if (sign === ":" && expected === "colon") return "value";
  const closes = { "}": ["keyOrEnd", "commaOrBrace"], "]": ["valueOrEnd", "commaOrBracket"] }[sign];
  if (closes?.includes(expected)) return open.pop(), valueDone();
  if (sign === "," && expected === "commaOrBrace") return "key";
  return sign === "," && expected === "commaOrBracket" ? "value" : undefined;
}

/**
 * What is wrong with a list of tools, as key and values for i18n; null where nothing is. The server has the last word.
 * @param {unknown} tools
 */
export function toolsFault(tools) {
  if (!Array.isArray(tools)) return { key: "tools.faults.list" };
  for (const [at, tool] of tools.entries()) {
    const values = { at: at + 1 };
    if (tool?.type !== "function" || typeof tool.function !== "object") return { key: "tools.faults.function", values };
    if (!/^[\w-]{1,64}$/.test(tool.function.name ?? "")) return { key: "tools.faults.name", values };
    const { parameters = {} } = tool.function;
    if (typeof parameters !== "object" || Array.isArray(parameters)) return { key: "tools.faults.parameters", values };
  }
  return null;
}
