/**
 * The body of a chat request: the one that is sent, and the one that "Show as code" prints.
 *
 * @param {object[]} path Messages of the branch, first to last.
 * @param {{ system?: string, model?: string, parameters?: Record<string, unknown>, form?: Form, tools?: object[], toolChoice?: string }} settings
 * @typedef {{ kind: "text" | "json_object" | "json_schema" | "regex" | "grammar" | "choice", value?: unknown }} Form
 */
export function buildRequest(path, { system, model, parameters = {}, form, tools, toolChoice } = {}) {
  const messages = [...(system?.trim() ? [{ role: "system", content: system }] : []), ...path.map(wireMessage)];
  return {
    ...(model ? { model } : {}),
    messages,
    ...parameters,
    ...(tools?.length ? { tools, ...(toolChoice ? { tool_choice: toolChoice } : {}) } : {}),
    ...formParameters(form),
    stream: true,
    stream_options: { include_usage: true },
  };
}

/** One message as the API wants it. */
export function wireMessage(message) {
  if (message.role === "tool") return { role: "tool", tool_call_id: message.toolCallId, content: message.content };
  if (message.role === "user") return { role: "user", content: withAttachments(message) };
  const calls = message.toolCalls ?? [];
  return {
    role: "assistant",
    content: calls.length && !message.content ? null : message.content,
    ...(calls.length ? { tool_calls: calls.map(wireCall) } : {}),
  };
}

const wireCall = ({ id, name, arguments: text }) => ({ id, type: "function", function: { name, arguments: text } });

/** Attached files stand before the question, each under its name in a fence that its text does not contain. */
function withAttachments({ content, attachments = [] }) {
  const parts = attachments.map(({ name, text }) => {
    const fence = "`".repeat(Math.max(3, longestRun(text) + 1));
    return `${name}:\n${fence}\n${text.replace(/\n$/, "")}\n${fence}`;
  });
  return [...parts, content].filter(Boolean).join("\n\n");
}

const longestRun = (text) => Math.max(0, ...(text.match(/`+/g) ?? []).map((run) => run.length));

/** @param {Form | undefined} form */
function formParameters(form) {
  if (!form || form.kind === "text") return {};
  if (form.kind === "json_object") return { response_format: { type: "json_object" } };
  if (form.kind === "json_schema") {
    return { response_format: { type: "json_schema", json_schema: { name: "answer", schema: form.value } } };
  }
  return { [form.kind]: form.value };
}
