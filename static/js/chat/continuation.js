import { buildRequest } from "./request.js";

/**
 * Goes on with an answer that was cut off, to the token: the server tells the ids of the prompt and of the text so far, and its
 * completions take ids. The chat route could not do it, since there an answer that is given ends the assistant's turn.
 *
 * @param {ReturnType<typeof import("../api.js").createApi>} api
 * @param {object} message The answer; its text grows.
 * @param {object[]} before The messages before it.
 * @param {AbortSignal} signal
 */
export async function* streamContinuation(api, message, before, signal) {
  const settings = message.settings ?? {};
  const { messages, tools, model } = buildRequest(before, settings);
  const chosen = model ? { model } : {};
  const [prompt, said] = await Promise.all([
    api.post("/v1/tokenize", { ...chosen, messages, ...(tools ? { tools } : {}) }, { signal }),
    api.post("/v1/tokenize", { ...chosen, prompt: message.content, add_special_tokens: false }, { signal }),
  ]);
  const body = {
    ...chosen,
    ...onlyCompletions(settings.parameters ?? {}),
    prompt: [...prompt.tokens, ...said.tokens],
    stream: true,
    stream_options: { include_usage: true },
  };
  const earlier = message.figures?.answer ?? said.count;
  message.figures.earlier = earlier;
  for await (const chunk of api.stream("/v1/completions", body, { signal })) {
    if (chunk.usage) chunk.usage.completion_tokens += earlier;
    yield chunk;
  }
}

/** Whether an answer can be gone on with: free text alone, since thoughts, calls and forms are states of the chat route. */
export const canContinue = ({ content, toolCalls, reasoning, settings, figures, state }) =>
  Boolean(content) && !toolCalls?.length && !reasoning && (settings?.form?.kind ?? "text") === "text" &&
  (state === "stopped" || state === "failed" || figures?.finish === "length");

/** What the chat route alone knows stays behind. */
function onlyCompletions({ max_completion_tokens: most, ...parameters }) {
  const { chat_template_kwargs: _k, reasoning_effort: _r, parallel_tool_calls: _p, top_logprobs: _t, logprobs: _l, ...kept } = parameters;
  return { ...kept, max_tokens: most ?? kept.max_tokens ?? 1024 };
}
