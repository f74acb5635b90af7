/**
 * What a bench run asks for: pure values, so that the method can be read and tested by itself.
 *
 * For each prompt and each concurrency c, a run sends `rounds` requests of `/v1/completions`, one after the other, each
 * with c texts at once. They share one connection, since a browser opens six at most to one server. Each text begins with
 * a number of its own, so that the server has computed none of it before; each answer has exactly `answerTokens` tokens,
 * since the end of the text is ignored. One request that is not counted comes first.
 * @typedef {{ name: string, text: string }} Prompt
 * @typedef {{ prompts: Prompt[], concurrencies: number[], rounds: number, answerTokens: number, model: string }} Plan
 * @typedef {{ prompt: string, concurrency: number, round: number, body: object }} Wave
 */

/** @param {Plan} plan @param {number} salt Makes the texts of this run unlike those of any other. @returns {Wave[]} */
export function wavesOf(plan, salt) {
  let serial = 0;
  const wave = (prompt, concurrency, round) => ({
    prompt: prompt.name,
    concurrency,
    round,
    body: bodyOf(plan, Array.from({ length: concurrency }, () => `${salt}-${(serial += 1)}. ${prompt.text}`)),
  });
  return plan.prompts.flatMap((prompt) =>
    plan.concurrencies.flatMap((concurrency) => Array.from({ length: plan.rounds }, (_, round) => wave(prompt, concurrency, round))),
  );
}

/** @param {Plan} plan @param {number} salt */
export const warmUpOf = (plan, salt) => bodyOf({ ...plan, answerTokens: 8 }, [`${salt}-0. ${plan.prompts[0].text}`]);

const bodyOf = ({ model, answerTokens }, prompt) => ({ model, prompt, max_tokens: answerTokens, ignore_eos: true, temperature: 0 });

/** Whole numbers of a text such as "1, 2 4"; each once, in order. @param {string} text @param {number} most */
export function numbersOf(text, most) {
  const numbers = (text.match(/\d+/g) ?? []).map(Number).filter((number) => number >= 1 && number <= most);
  return [...new Set(numbers)].sort((a, b) => a - b);
}

/** Words to read, of about this many tokens. @param {number} tokens */
export function longText(tokens) {
  const sentence = "The beaver cuts the willow by the river, drags it through the shallow water and lays it across the current. ";
  return sentence.repeat(Math.ceil(tokens / 23)) + "In short:";
}
