import assert from "node:assert/strict";
import test from "node:test";
import { measureWave } from "../../static/js/bench/wave.js";

test("a wave of two texts is timed text by text, and its tokens by the request", async () => {
  let at = 0;
  async function* stream() {
    for (const [time, index] of [[500, 0], [1000, 1], [2500, 0], [3000, 1]]) {
      at = time;
      yield { choices: [{ index, text: "word" }] };
    }
    at = 4000;
    yield { choices: [], usage: { prompt_tokens: 8, completion_tokens: 10 } };
  }
  const figures = await measureWave({ stream }, { prompt: ["a", "b"], max_tokens: 5 }, { now: () => at });
  assert.deepEqual(figures, {
    firstTokenS: [0.5, 1],
    perStream: [2, 2],
    tokensPerS: 2.5,
    totalS: 4,
    promptTokens: 8,
    cachedTokens: 0,
    answerTokens: 10,
  });
});
