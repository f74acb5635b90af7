// The npm clients of three dialects against a server: `node node_clients.mjs NODE_MODULES_PARENT TASK JSON`; prints one JSON
// object of what they made of its answers. JSON has `url`, `key` and `model`, and what the task needs beside.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [folder, task, given] = process.argv.slice(2);
const { url, key, model, ...more } = JSON.parse(given);
const require = createRequire(pathToFileURL(`${folder}/`));
const load = (packageName) => import(pathToFileURL(require.resolve(packageName)).href);

const QUESTION = "Why is the sky blue?";
const WEATHER = {
  description: "Get the current weather of a city",
  schema: {
    type: "object",
    properties: { city: { type: "string", enum: ["Paris", "Rome"] } },
    required: ["city"],
    additionalProperties: false,
  },
};

const collect = async (stream) => {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return parts;
};
const failure = async (Class, ask) => {
  try {
    await ask();
  } catch (error) {
    return { isOwn: error instanceof Class, status: error.status ?? error.status_code, message: error.message };
  }
  return null;
};

const openai = async () => {
  const module = await load("openai");
  return { ...module, client: new module.OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0 }) };
};
const short = { model, max_output_tokens: 24, temperature: 0 };

const tasks = {
  async openai() {
    const { client, NotFoundError, BadRequestError } = await openai();
    const { zodTextFormat } = await load("openai/helpers/zod");
    const { z } = await load("zod");
    const whole = await client.responses.create({ ...short, input: QUESTION });
    const events = await collect(await client.responses.create({ ...short, input: QUESTION, stream: true }));
    const helper = await collect(client.responses.stream({ ...short, input: QUESTION }));
    const city = z.object({ city: z.enum(["Paris", "Rome"]), big: z.boolean() });
    const parsed = await client.responses.parse({
      ...short,
      max_output_tokens: 200,
      input: "Name a city.",
      text: { format: zodTextFormat(city, "city") },
    });
    const tools = [{ type: "function", name: "get_weather", description: WEATHER.description, parameters: WEATHER.schema, strict: true }];
    const asked = await client.responses.create({ ...short, max_output_tokens: 100, input: "Weather?", tools, tool_choice: "required" });
    const results = asked.output
      .filter((item) => item.type === "function_call")
      .map((call) => ({ type: "function_call_output", call_id: call.call_id, output: "21 degrees" }));
    const told = await client.responses.create({ ...short, previous_response_id: asked.id, input: results, tools });
    const made = await client.responses.create({ model, input: QUESTION, background: true, max_output_tokens: 7000, ignore_eos: true });
    const cancelled = await client.responses.cancel(made.id);
    await client.responses.delete(told.id);
    return {
      whole,
      events: { whole: events, helper },
      parsed: { status: parsed.status, valid: city.safeParse(parsed.output_parsed).success },
      loop: {
        calls: asked.output.filter((item) => item.type === "function_call"),
        told,
        items: (await collect(client.responses.inputItems.list(asked.id))).length,
      },
      background: [made.status, cancelled.status, (await client.responses.retrieve(made.id)).status],
      gone: await failure(NotFoundError, () => client.responses.retrieve(told.id)),
      refused: await failure(BadRequestError, () => client.responses.create({ ...short, input: [] })),
    };
  },

  async begin() {
    const { client } = await openai();
    return await client.responses.create({ ...short, input: "Name a city." });
  },

  async goOn() {
    const { client } = await openai();
    const second = await client.responses.create({ ...short, input: "And its country?", previous_response_id: more.previous });
    const third = await client.responses.create({ ...short, input: "Why?", previous_response_id: second.id });
    const items = await collect(client.responses.inputItems.list(third.id, { order: "asc", limit: 2 }));
    return { second, third, roles: items.map((item) => item.role) };
  },

  async anthropic() {
    const { default: Anthropic } = await load("@anthropic-ai/sdk");
    const client = new Anthropic({ baseURL: url, apiKey: key, maxRetries: 0 });
    const asked = { model, max_tokens: 24, temperature: 0, messages: [{ role: "user", content: QUESTION }] };
    const whole = await client.messages.create(asked);
    const stream = client.messages.stream(asked);
    const deltas = [];
    stream.on("text", (text) => deltas.push(text));
    const streamed = await stream.finalMessage();
    const tools = [{ name: "get_weather", description: WEATHER.description, input_schema: WEATHER.schema }];
    const turns = { ...asked, max_tokens: 100, tools, messages: [{ role: "user", content: "What is the weather in Paris?" }] };
    const choice = { type: "any", disable_parallel_tool_use: true };
    const first = await client.messages.stream({ ...turns, tool_choice: choice }).finalMessage();
    const call = first.content.find((block) => block.type === "tool_use");
    turns.messages.push(
      { role: "assistant", content: first.content },
      { role: "user", content: [{ type: "tool_result", tool_use_id: call.id, content: "21 degrees, sunny" }] },
    );
    const counted = await client.messages.countTokens({ model, tools, messages: turns.messages });
    const second = await client.messages.create({ ...turns, max_tokens: 24 });
    const stranger = new Anthropic({ baseURL: url, apiKey: "nobody", maxRetries: 0 });
    return {
      whole,
      streamed,
      deltas: deltas.join(""),
      loop: { stop: first.stop_reason, call, counted: counted.input_tokens, used: second.usage.input_tokens, said: second.content.length },
      refused: await failure(Anthropic.BadRequestError, () => client.messages.create({ ...asked, messages: [] })),
      unknown: await failure(Anthropic.AuthenticationError, () => stranger.messages.create(asked)),
    };
  },

  async ollama() {
    const { Ollama } = await load("ollama");
    const headers = { Authorization: `Bearer ${key}` };
    const client = new Ollama({ host: url, headers });
    const options = { temperature: 0, num_predict: 24 };
    const messages = [{ role: "user", content: QUESTION }];
    const tools = [{ type: "function", function: { name: "get_weather", description: WEATHER.description, parameters: WEATHER.schema } }];
    const told = [
      { role: "user", content: "What is the weather in Paris?" },
      { role: "assistant", content: "", tool_calls: [{ function: { name: "get_weather", arguments: { city: "Paris" } } }] },
      { role: "tool", tool_name: "get_weather", content: "21 degrees" },
    ];
    const form = { type: "object", properties: { city: { enum: ["Paris", "Rome"] } }, required: ["city"] };
    const one = { num_predict: 1 };
    const embedder = new Ollama({ host: more.embedUrl });
    return {
      chat: await client.chat({ model, messages, options }),
      chatParts: await collect(await client.chat({ model, messages, options, stream: true })),
      generate: await client.generate({ model, prompt: QUESTION, options }),
      generateParts: await collect(await client.generate({ model, prompt: QUESTION, options, stream: true })),
      asked: (await client.chat({ model, messages: told.slice(0, 1), tools, options: one })).prompt_eval_count,
      told: (await client.chat({ model, messages: told, tools, options: one })).prompt_eval_count,
      formed: (await client.chat({ model, messages: [{ role: "user", content: "Name a city." }], format: form })).message.content,
      listed: (await client.list()).models.map((entry) => entry.model),
      running: (await client.ps()).models.map((entry) => entry.model),
      capabilities: (await client.show({ model })).capabilities,
      vectors: (await embedder.embed({ model: "all-minilm", input: ["A beaver.", "A dam."] })).embeddings,
      refused: await failure(Error, () => client.chat({ model, messages, options: { num_ctx: 100000 } })),
      unknown: await failure(Error, () => client.show({ model: "nobody-knows-it" })),
    };
  },
};

console.log(JSON.stringify(await tasks[task]()));
