import { perSecond } from "../chat/answer.js";

/**
 * What one request with several texts took. Times in seconds from the request.
 * @typedef {object} WaveFigures
 * @property {number[]} firstTokenS For each text.
 * @property {number[]} perStream Tokens/s of each text after its first piece.
 * @property {number} tokensPerS Answer tokens of all texts over the time of the request, prompts included.
 * @property {number} totalS
 * @property {number} promptTokens Of all texts.
 * @property {number} cachedTokens Those of them that were not computed.
 * @property {number} answerTokens Of all texts.
 */

/**
 * Sends one request and times its pieces.
 * @param {{ stream: Function }} api
 * @param {{ prompt: string[], max_tokens: number }} body
 * @param {{ signal?: AbortSignal, now?: () => number, onPiece?: () => void }} [hooks]
 * @returns {Promise<WaveFigures>}
 */
export async function measureWave(api, body, { signal, now = () => performance.now(), onPiece } = {}) {
  const began = now();
  const streams = body.prompt.map(() => ({ first: null, last: null }));
  let usage = null;
  const request = { ...body, stream: true, stream_options: { include_usage: true } };
  for await (const chunk of api.stream("/v1/completions", request, { signal })) {
    usage = chunk.usage ?? usage;
    for (const { index, text } of chunk.choices) {
      if (!text) continue;
      const at = (now() - began) / 1000;
      streams[index].first ??= at;
      streams[index].last = at;
      onPiece?.();
    }
  }
  const totalS = (now() - began) / 1000;
  const perText = usage.completion_tokens / body.prompt.length;
  return {
    firstTokenS: streams.map(({ first }) => first ?? totalS),
    perStream: streams.map(({ first, last }) => perSecond(perText - 1, last - first) ?? 0),
    tokensPerS: perSecond(usage.completion_tokens, totalS) ?? 0,
    totalS,
    promptTokens: usage.prompt_tokens,
    cachedTokens: usage.prompt_tokens_details?.cached_tokens ?? 0,
    answerTokens: usage.completion_tokens,
  };
}

/** One row for each prompt and concurrency. @param {{ prompt: string, concurrency: number, figures: WaveFigures }[]} waves */
export function summarise(waves) {
  const groups = new Map();
  for (const wave of waves) {
    const key = `${wave.concurrency}\n${wave.prompt}`;
    groups.set(key, [...(groups.get(key) ?? []), wave]);
  }
  return [...groups.values()].map((group) => {
    const { prompt, concurrency } = group[0];
    const all = (name) => group.flatMap(({ figures }) => figures[name]);
    return {
      prompt,
      concurrency,
      rounds: group.length,
      prompt_tokens: Math.round(median(all("promptTokens")) / concurrency),
      answer_tokens: Math.round(median(all("answerTokens")) / concurrency),
      cached_tokens: all("cachedTokens").reduce((sum, count) => sum + count, 0),
      tokens_per_s: median(all("tokensPerS")),
      tokens_per_s_of_each: median(all("perStream")),
      first_token_s: median(all("firstTokenS")),
      first_token_s_worst: Math.max(...all("firstTokenS")),
    };
  });
}

/** @param {number[]} values */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
