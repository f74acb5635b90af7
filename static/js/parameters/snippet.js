/** A request as the code that makes it. Pure. */

/** Parameters of the request body that the official Python client has no argument for. */
const OPENAI_ARGUMENTS = new Set([
  "model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "temperature", "top_p", "n", "stop", "seed", "tools",
  "tool_choice", "parallel_tool_calls", "response_format", "logprobs", "top_logprobs", "logit_bias", "presence_penalty", "frequency_penalty",
  "reasoning_effort", "user", "metadata", "store", "modalities", "verbosity",
]);

/**
 * @param {"curl" | "python" | "javascript"} language
 * @param {object} body @param {string} origin @param {boolean} hasKey
 */
export function snippet(language, body, origin, hasKey) {
  return { curl: curlOf, python: pythonOf, javascript: javascriptOf }[language](body, origin, hasKey);
}

function curlOf(body, origin, hasKey) {
  const headers = ["Content-Type: application/json", ...(hasKey ? ["Authorization: Bearer $OBEAVER_API_KEY"] : [])];
  const quoted = JSON.stringify(body, null, 2).replaceAll("'", "'\\''");
  return `curl -sN ${origin}/v1/chat/completions \\\n${headers.map((header) => `  -H "${header}" \\\n`).join("")}  -d '${quoted}'\n`;
}

function pythonOf(body, origin, hasKey) {
  const known = Object.entries({ model: "", ...body }).filter(([name]) => OPENAI_ARGUMENTS.has(name));
  const extra = Object.fromEntries(Object.entries(body).filter(([name]) => !OPENAI_ARGUMENTS.has(name)));
  const lines = [
    ...known.map(([name, value]) => `    ${name}=${pythonValue(value, 4)},`),
    ...(Object.keys(extra).length ? [`    extra_body=${pythonValue(extra, 4)},`] : []),
  ];
  return `${hasKey ? "import os\n\n" : ""}from openai import OpenAI

client = OpenAI(base_url="${origin}/v1", api_key=${hasKey ? 'os.environ["OBEAVER_API_KEY"]' : '"unused"'})
stream = client.chat.completions.create(
${lines.join("\n")}
)
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
`;
}

/** @param {unknown} value @param {number} indent Spaces before the line that the value begins on. */
export function pythonValue(value, indent = 0) {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const isList = Array.isArray(value);
  const entries = isList ? value.map((item) => pythonValue(item, indent + 4)) : Object.entries(value).map(([name, item]) => `${JSON.stringify(name)}: ${pythonValue(item, indent + 4)}`);
  const [open, close] = isList ? "[]" : "{}";
  if (!entries.length) return open + close;
  const flat = `${open}${entries.join(", ")}${close}`;
  if (flat.length <= 80 && !flat.includes("\n")) return flat;
  const pad = " ".repeat(indent + 4);
  return `${open}\n${entries.map((entry) => `${pad}${entry},\n`).join("")}${" ".repeat(indent)}${close}`;
}

function javascriptOf(body, origin, hasKey) {
  const text = JSON.stringify({ model: "", ...body }, null, 2);
  return `import OpenAI from "openai";

const client = new OpenAI({ baseURL: "${origin}/v1", apiKey: ${hasKey ? "process.env.OBEAVER_API_KEY" : '"unused"'} });
const stream = await client.chat.completions.create(${text});
for await (const chunk of stream) {
  process.stdout.write(chunk.choices[0]?.delta.content ?? "");
}
`;
}
