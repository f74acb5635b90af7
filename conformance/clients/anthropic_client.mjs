// Makes the calls of cases with the official Anthropic SDK for Node: the twin of anthropic_client.py. See program.mjs.

import { MAX_ROUNDS, collect, plain, require, run } from "./program.mjs";

const { Anthropic, APIError } = require("@anthropic-ai/sdk");
const VERSION = require("@anthropic-ai/sdk/version").VERSION;

const requestOf = (order) => ({ ...order.arguments, ...(order.call === "messages.stream" ? { stream: true } : {}) });

async function toolLoop(client, order) {
  let request = { ...order.arguments };
  const turns = [];
  for (let round = 0; round < MAX_ROUNDS; round++) {
    turns.push(...(await make(client, { call: "messages.create", arguments: request })));
    const last = turns.at(-1);
    const content = last.status === 200 ? last.value.content : [];
    const results = content
      .filter((block) => block.type === "tool_use")
      .map((block) => ({ type: "tool_result", tool_use_id: block.id, content: order.tool_results[block.name] }));
    if (!results.length) break;
    const answered = [
      { role: "assistant", content },
      { role: "user", content: results },
    ];
    request = { ...request, messages: [...request.messages, ...answered], tool_choice: { type: "none" } };
  }
  return turns;
}

async function seen(client, order) {
  const body = order.arguments;
  switch (order.call) {
    case "messages.count_tokens":
      return { value: plain(await client.messages.countTokens(body)) };
    case "messages.stream": {
      const stream = client.messages.stream(body);
      const chunks = await collect(stream);
      return { chunks, final: plain(await stream.finalMessage()) };
    }
    default: {
      const answer = await client.messages.create(body);
      return body.stream ? { chunks: await collect(answer) } : { value: plain(answer) };
    }
  }
}

async function make(client, order) {
  const endpoint = order.call === "messages.count_tokens" ? "/v1/messages/count_tokens" : "/v1/messages";
  const turn = { endpoint, request: requestOf(order) };
  try {
    if (order.call === "messages tool loop") return await toolLoop(client, order);
    if (order.call === "crowd") {
      const asked = { ...order, call: "messages.create" };
      const answers = await Promise.all(Array.from({ length: order.crowd }, () => make(client, asked)));
      return answers.flat();
    }
    return [{ ...turn, status: 200, ...(await seen(client, order)) }];
  } catch (error) {
    const raised = error.constructor.name;
    if (!(error instanceof APIError) || !error.status)
      return [{ ...turn, status: 0, value: { message: String(error) }, raised }];
    const headers = Object.fromEntries(error.headers ?? []);
    return [{ ...turn, status: error.status, value: error.error, raised, headers }];
  }
}

await run((options, order) => make(new Anthropic(options), order), VERSION, [
  "ANTHROPIC_BASE_URL",
  "ANTHROPIC_API_KEY",
]);
