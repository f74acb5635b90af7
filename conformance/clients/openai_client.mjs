// Makes the calls of cases with the official OpenAI SDK for Node: the twin of openai_client.py. See program.mjs.

import { MAX_ROUNDS, collect, plain, require, run } from "./program.mjs";

const { OpenAI, APIError } = require("openai");
const { zodResponseFormat, zodTextFormat } = require("openai/helpers/zod");
const { z } = require("zod");
const VERSION = require("openai/version").VERSION;

const TYPES = { string: z.string(), integer: z.int(), number: z.number(), boolean: z.boolean() };
const FAMILIES = { models: "/models", completions: "/completions", embeddings: "/embeddings", responses: "/responses" };

const BELOW = { "responses.cancel": "/cancel", "responses.input_items.list": "/input_items" };

function endpointOf({ call, arguments: given }) {
  if (call === "models.retrieve") return `/models/${given.model}`;
  if (given.response_id) return `/responses/${given.response_id}${BELOW[call] ?? ""}`;
  return FAMILIES[call.split(/[ .]/)[0]] ?? "/chat/completions";
}

const typeOf = (order) => z.object(Object.fromEntries(Object.entries(order.fields).map(([n, t]) => [n, TYPES[t]])));
const formOf = (order) => zodResponseFormat(typeOf(order), "Answer");
const textOf = (order) => ({ format: zodTextFormat(typeOf(order), "Answer") });

function requestOf(order) {
  const { response_id: _, ...request } = order.arguments;
  if (order.call.endsWith(".stream")) request.stream = true;
  if (order.call === "chat.completions.parse") request.response_format = formOf(order);
  if (order.call === "responses.parse") request.text = plain(textOf(order));
  return request;
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

async function responsesToolLoop(client, order) {
  let request = { ...order.arguments };
  const turns = [];
  for (let round = 0; round < MAX_ROUNDS; round++) {
    turns.push(...(await make(client, { call: "responses.create", arguments: request })));
    const last = turns.at(-1);
    const output = last.status === 200 ? last.value.output : [];
    const results = output
      .filter((item) => item.type === "function_call")
      .map((item) => ({
        type: "function_call_output",
        call_id: item.call_id,
        output: order.tool_results[item.name],
      }));
    if (!results.length) break;
    request = { ...request, input: [...request.input, ...output, ...results], tool_choice: "none" };
  }
  return turns;
}

async function responseEvents(stream) {
  const chunks = await collect(stream);
  // The SDK has a final response only of streams that completed.
  if (chunks.at(-1).type !== "response.completed") return { chunks };
  return { chunks, final: plain(await stream.finalResponse()) };
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
    case "responses.retrieve":
    case "responses.cancel":
      return { value: plain(await client.responses[order.call.split(".")[1]](body.response_id)) };
    case "responses.delete":
      // The SDK gives nothing.
      return { value: (await client.responses.delete(body.response_id)) ?? null };
    case "responses.input_items.list": {
      const page = await client.responses.inputItems.list(body.response_id, { order: body.order });
      return { value: { object: "list", data: plain(page.data) } };
    }
    case "responses.stream":
      return await responseEvents(client.responses.stream(body));
    case "responses.parse": {
      const answer = await client.responses.parse({ ...body, text: textOf(order) });
      return { value: plain(answer), parsed: answer.output_parsed };
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
    if (order.call === "responses tool loop") return await responsesToolLoop(client, order);
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

await run((options, order) => make(new OpenAI(options), order), VERSION, ["OPENAI_BASE_URL", "OPENAI_API_KEY"]);
