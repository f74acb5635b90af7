// Makes the calls of cases with the official Ollama client for Node: the twin of ollama_client.py. See program.mjs.

import { collect, plain, require, run } from "./program.mjs";

const { Ollama } = require("ollama");
const VERSION = require("ollama/package.json").version;

// Methods that are called otherwise than their paths.
const PATHS = { list: "tags" };
const STREAMS = ["chat", "generate"];

async function make(options, order) {
  const headers = { Authorization: `Bearer ${options.apiKey}` };
  const client = new Ollama({ host: options.baseURL, headers });
  const call = order.call.replace(/^ollama\./, "");
  // The client says whether it wants a stream, whatever is the default.
  const request = STREAMS.includes(call) ? { stream: false, ...order.arguments } : order.arguments;
  const turn = { endpoint: `/api/${PATHS[call] ?? call}`, request };
  try {
    const answer = await client[call](request);
    return [{ ...turn, status: 200, ...(request.stream ? { chunks: await collect(answer) } : { value: plain(answer) }) }];
  } catch (error) {
    const raised = error.constructor.name;
    if (!error.status_code) return [{ ...turn, status: 0, value: { error: String(error) }, raised }];
    return [{ ...turn, status: error.status_code, value: { error: error.error }, raised }];
  }
}

await run(make, VERSION, ["OLLAMA_HOST", "OLLAMA_API_KEY"]);
