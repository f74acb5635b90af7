// Makes the calls of cases with the official Node SDK and reports what it saw: the twin of python_client.py.
//
//     node node_client.mjs FOLDER [--labelled] < orders.jsonl > turns.jsonl
//
// FOLDER is where `npm install openai zod` was run.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import path from "node:path";

const [folder, ...words] = process.argv.slice(2);
const require = createRequire(path.join(path.resolve(folder), "package.json"));
const { OpenAI, APIError } = require("openai");
const { zodResponseFormat } = require("openai/helpers/zod");
const { z } = require("zod");
const VERSION = require("openai/version").VERSION;

const MAX_ROUNDS = 3;
const TYPES = { string: z.string(), integer: z.int(), number: z.number(), boolean: z.boolean() };
const FAMILIES = { "models.list": "/models", "completions.create": "/completions", "embeddings.create": "/embeddings" };

const endpointOf = (order) =>
  order.call === "models.retrieve"
    ? `/models/${order.arguments.model}`
    : (FAMILIES[order.call] ?? "/chat/completions");

const formOf = (order) =>
  zodResponseFormat(z.object(Object.fromEntries(Object.entries(order.fields).map(([n, t]) => [n, TYPES[t]]))), "Answer");

function requestOf(order) {
  const request = { ...order.arguments };
  if (order.call === "chat.completions.stream") request.stream = true;
  if (order.call === "chat.completions.parse") request.response_format = formOf(order);
  return request;
}

const plain = (value) => JSON.parse(JSON.stringify(value));

async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(plain(chunk));
  return chunks;
}

async function toolLoop(client, order) {
  let request = { ...order.arguments };
  const turns = [];
  for (let round = 0; round < MAX_ROUNDS; round++) {
    turns.push(...(await make(client, { call: "chat.completions.create", arguments: request })));
    const last = turns.at(-1);
    const message = last.status === 200 ? last.value.choices[0].message : {};
    if (!message.tool_calls?.length) break;
    const results = message.tool_calls.map((call) => ({
      role: "tool",
      tool_call_id: call.id,
      content: order.tool_results[call.function.name],
    }));
    request = { ...request, messages: [...request.messages, message, ...results], tool_choice: "none" };
  }
  return turns;
}

async function runTools(client, order) {
  const called = [];
  const tools = order.arguments.tools.map((tool) => ({
    type: "function",
    function: {
      ...tool.function,
      parse: JSON.parse,
      function: (given) => {
        called.push(given);
        return order.tool_results[tool.function.name];
      },
    },
  }));
  const runner = client.chat.completions.runTools({ ...order.arguments, tools });
  const completions = [];
  runner.on("chatCompletion", (completion) => completions.push(plain(completion)));
  await runner.done();
  return { value: completions.at(0), parsed: called };
}

async function seen(client, order) {
  const body = order.arguments;
  const chat = client.chat.completions;
  switch (order.call) {
    case "models.list": {
      const page = await client.models.list();
      return { value: { object: page.object ?? "list", data: plain(page.data) } };
    }
    case "models.retrieve":
      return { value: plain(await client.models.retrieve(body.model)) };
    case "chat.completions.stream": {
      const stream = chat.stream(body);
      const chunks = await collect(stream);
      return { chunks, final: plain(await stream.finalChatCompletion()) };
    }
    case "chat.completions.parse": {
      const answer = await chat.parse({ ...body, response_format: formOf(order) });
      return { value: plain(answer), parsed: answer.choices[0].message.parsed };
    }
    case "chat.completions.runTools":
      return await runTools(client, order);
    default: {
      const resource = order.call.startsWith("chat.") ? chat : client[order.call.split(".")[0]];
      const answer = await resource.create(body);
      return body.stream ? { chunks: await collect(answer) } : { value: plain(answer) };
    }
  }
}

async function make(client, order) {
  const turn = { endpoint: endpointOf(order), request: requestOf(order) };
  try {
    if (order.call === "tool loop") return await toolLoop(client, order);
    if (order.call === "crowd") {
      const asked = { ...order, call: "chat.completions.create" };
      const answers = await Promise.all(Array.from({ length: order.crowd }, () => make(client, asked)));
      return answers.flat();
    }
    return [{ ...turn, status: 200, ...(await seen(client, order)) }];
  } catch (error) {
    const raised = error.constructor.name;
    if (!(error instanceof APIError) || !error.status)
      return [{ ...turn, status: 0, value: { message: String(error) }, raised }];
    const headers = Object.fromEntries(error.headers ?? []);
    return [{ ...turn, status: error.status, value: { error: error.error }, raised, headers }];
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line);
  const url = new URL(order.base_url ?? process.env.OPENAI_BASE_URL);
  const baseURL = words.includes("--labelled") ? `${url.origin}/@${order.label}${url.pathname}` : url.href;
  const apiKey = order.api_key ?? process.env.OPENAI_API_KEY ?? "unused";
  const client = new OpenAI({ baseURL, apiKey, maxRetries: order.max_retries ?? 0, timeout: 300_000 });
  const turns = await make(client, order);
  console.log(JSON.stringify({ label: order.label, client: VERSION, turns }));
}
