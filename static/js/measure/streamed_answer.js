/**
 * What one streamed answer took, as its reader sees it.
 * @typedef {object} Figures
 * @property {number} firstTokenS From the request to the first piece of the answer.
 * @property {number} totalS From the request to the end.
 * @property {number | null} tokensPerS The answer's tokens after the first one, over the time after the first one.
 * @property {number} promptTokens
 * @property {number} cachedTokens Those of them that the server did not compute again.
 * @property {number} answerTokens
 * @property {string} finishReason
 * @property {string} model
 */

/**
 * Streams a chat request and measures it.
 * @param {{ stream: Function }} api
 * @param {object} body A chat request; `stream` and `stream_options` are set here.
 * @param {{ signal?: AbortSignal, onText?: (text: string) => void, now?: () => number }} [hooks] `onText` gets all of the text so far.
 * @returns {Promise<{ text: string, figures: Figures }>}
 */
export async function streamedAnswer(api, body, { signal, onText, now = () => performance.now() } = {}) {
  const began = now();
  let first = null;
  let last = began;
  let text = "";
  let finishReason = "";
  let usage = null;
  let model = "";
  const request = { ...body, stream: true, stream_options: { include_usage: true } };
  for await (const chunk of api.stream("/v1/chat/completions", request, { signal })) {
    model = chunk.model ?? model;
    usage = chunk.usage ?? usage;
    const choice = chunk.choices[0];
    const piece = choice?.delta?.reasoning_content ?? choice?.delta?.content ?? "";
    if (piece || choice?.delta?.tool_calls) {
      first ??= now();
      last = now();
    }
    text += choice?.delta?.content ?? "";
    finishReason = choice?.finish_reason ?? finishReason;
    if (piece) onText?.(text);
  }
  const ended = now();
  const answerTokens = usage?.completion_tokens ?? 0;
  return {
    text,
    figures: {
      firstTokenS: ((first ?? ended) - began) / 1000,
      totalS: (ended - began) / 1000,
      tokensPerS: rate(answerTokens - 1, (last - (first ?? last)) / 1000),
      promptTokens: usage?.prompt_tokens ?? 0,
      cachedTokens: usage?.prompt_tokens_details?.cached_tokens ?? 0,
      answerTokens,
      finishReason,
      model,
    },
  };
}

/** @param {number} count @param {number} seconds @returns {number | null} null where there is nothing to divide. */
export const rate = (count, seconds) => (count > 0 && seconds > 0 ? count / seconds : null);
