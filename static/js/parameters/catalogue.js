/**
 * The parameters of a chat request, from the server's own description (`/openapi.json`). Names, ranges, defaults and words are
 * the schema's; what stands here is only which of them have an editor of their own, and which come first.
 */

const ELSEWHERE = new Set([
  "model", "messages", "stream", "stream_options", "n", "tools", "tool_choice", "response_format", "grammar", "regex", "choice",
  "user", "metadata", "store", "modalities", "verbosity", "max_completion_tokens", "logprobs", "top_logprobs",
]);

const FIRST = ["temperature", "max_tokens", "top_p", "top_k", "repetition_penalty", "seed", "stop"];

/**
 * @typedef {{ name: string, kind: "number" | "integer" | "boolean" | "enum" | "texts" | "json", description: string,
 *   minimum?: number, maximum?: number, above?: number, default?: unknown, options?: string[], isFirst: boolean }} Parameter
 * @param {any} openapi
 * @returns {Parameter[]}
 */
export function chatParameters(openapi) {
  const { properties } = openapi.components.schemas.ChatCompletionRequest;
  const rank = (name) => (FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length);
  return Object.entries(properties)
    .filter(([name, schema]) => !ELSEWHERE.has(name) && !("not" in schema))
    .map(([name, schema]) => parameterOf(name, schema))
    .filter((parameter) => parameter.kind)
    .sort((a, b) => rank(a.name) - rank(b.name));
}

function parameterOf(name, schema) {
  const { description = "", minimum, maximum, exclusiveMinimum: above, default: preset } = schema;
  const options = schema.enum?.filter((option) => option !== null);
  return { name, kind: kindOf(schema), description, minimum, maximum, above, default: preset, options, isFirst: FIRST.includes(name) };
}

function kindOf(schema) {
  const types = [schema.type].flat();
  if (schema.enum) return "enum";
  if (types.includes("array") && types.includes("string")) return "texts";
  return { number: "number", integer: "integer", boolean: "boolean", object: "json" }[types.find((type) => type !== "null")];
}

/**
 * What is wrong with a value; null where nothing is. The words are for i18n: a key and its values.
 * @param {Parameter} parameter @param {unknown} value
 * @returns {{ key: string, values?: object } | null}
 */
export function faultOf(parameter, value) {
  if (parameter.kind !== "number" && parameter.kind !== "integer") return null;
  if (typeof value !== "number" || !Number.isFinite(value)) return { key: "parameters.faults.number" };
  if (parameter.kind === "integer" && !Number.isInteger(value)) return { key: "parameters.faults.integer" };
  const { minimum, maximum, above } = parameter;
  if ((minimum !== undefined && value < minimum) || (above !== undefined && value <= above) || (maximum !== undefined && value > maximum)) {
    return { key: rangeKey(parameter), values: { minimum: minimum ?? above, maximum: maximum ?? "" } };
  }
  return null;
}

const rangeKey = ({ maximum, above }) => (maximum === undefined ? "parameters.faults.least" : above === undefined ? "parameters.faults.range" : "parameters.faults.above");
