/**
 * JSON that a person types: its value, or where it is wrong.
 * @param {string} text
 * @returns {{ value: any } | { line: number, column: number, reason: string }}
 */
export function readJson(text) {
  try {
    return { value: JSON.parse(text) };
  } catch (error) {
    const at = placeOf(error.message, text);
    const before = text.slice(0, at);
    return { line: before.split("\n").length, column: at - before.lastIndexOf("\n"), reason: error.message.replace(/ (?:in JSON )?at .*$/s, "") };
  }
}

/** Engines say the place in different words, and at the end of the text in none. */
function placeOf(message, text) {
  const position = /position (\d+)/.exec(message);
  if (position) return Number(position[1]);
  const lineColumn = /line (\d+) column (\d+)/.exec(message);
  if (!lineColumn) return text.length;
  return text.split("\n").slice(0, lineColumn[1] - 1).join("\n").length + (lineColumn[1] > 1 ? 1 : 0) + Number(lineColumn[2]) - 1;
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
