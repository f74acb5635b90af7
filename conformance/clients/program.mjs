// What the client programs for Node share: orders in, turns out. The twin of program.py.
//
//     node openai_client.mjs FOLDER [--labelled] < orders.jsonl > turns.jsonl
//
// FOLDER is where `npm install` was run with the SDK's packages.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import path from "node:path";

const [folder, ...words] = process.argv.slice(2);

export const require = createRequire(path.join(path.resolve(folder), "package.json"));

export const MAX_ROUNDS = 3;
export const TIMEOUT_MS = 300_000;

export const plain = (value) => JSON.parse(JSON.stringify(value));

export async function collect(stream) {
  const items = [];
  for await (const item of stream) items.push(plain(item));
  return items;
}

const lastOf = (turn) => (turn.chunks?.length ? turn.chunks.at(-1).response : turn.value);

// Reads orders and writes turns: `make` makes one order with a client of its own; the environment has the address and
// the key of orders that do not have them.
export async function run(make, version, [addressName, keyName]) {
  const ids = {};
  for await (const line of createInterface({ input: process.stdin })) {
    const { label } = JSON.parse(line);
    const place = label.slice(0, label.lastIndexOf(".") + 1);
    // `{0.id}` stands for the id of the answer to a case's step 0.
    const order = JSON.parse(line.replace(/\{(\d+)\.id\}/g, (_, step) => ids[place + step]));
    const url = new URL(order.base_url ?? process.env[addressName]);
    const options = {
      baseURL: words.includes("--labelled") ? `${url.origin}/@${order.label}${url.pathname}` : url.href,
      apiKey: order.api_key ?? process.env[keyName] ?? "unused",
      maxRetries: order.max_retries ?? 0,
      timeout: TIMEOUT_MS,
    };
    const turns = await make(options, order);
    ids[label] = lastOf(turns.at(-1))?.id ?? "";
    console.log(JSON.stringify({ label: order.label, client: version, turns }));
  }
}
