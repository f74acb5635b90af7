import { createAnswer } from "../chat/answer.js";

/**
 * Streams a chat request and measures it, as the chat does.
 * @param {{ stream: Function }} api
 * @param {object} body A chat request; `stream` and `stream_options` are set here.
 * @param {{ signal?: AbortSignal, onText?: (text: string) => void, now?: () => number }} [hooks] `onText` gets all of the text so far.
 * @returns {Promise<{ content: string, figures: object, model: string }>} The message that createAnswer fills.
 */
export async function streamedAnswer(api, body, { signal, onText, now = () => performance.now() } = {}) {
  const message = { content: "" };
  const answer = createAnswer(message, now());
  const request = { ...body, stream: true, stream_options: { include_usage: true } };
  for await (const chunk of api.stream("/v1/chat/completions", request, { signal })) {
    const before = message.content;
    answer.add(chunk, now());
    if (message.content !== before) onText?.(message.content);
  }
  return message;
}
