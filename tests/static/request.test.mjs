import assert from "node:assert/strict";
import test from "node:test";
import { createAnswer, tokensPerSecond } from "../../static/js/chat/answer.js";
import { buildRequest } from "../../static/js/chat/request.js";

const user = (content, more = {}) => ({ role: "user", content, ...more });

test("a request has messages, parameters, tools and the form", () => {
  const body = buildRequest([user("Hi")], {
    system: "Be brief.",
    model: "m",
    parameters: { temperature: 0, seed: 7 },
    form: { kind: "json_schema", value: { type: "object" } },
    tools: [{ type: "function", function: { name: "f" } }],
  });
  assert.deepEqual(body, {
    model: "m",
    messages: [{ role: "system", content: "Be brief." }, { role: "user", content: "Hi" }],
    temperature: 0,
    seed: 7,
    tools: [{ type: "function", function: { name: "f" } }],
    response_format: { type: "json_schema", json_schema: { name: "answer", schema: { type: "object" } } },
    stream: true,
    stream_options: { include_usage: true },
  });
});

test("a regex is a parameter of its own, and free text is none", () => {
  assert.equal(buildRequest([user("x")], { form: { kind: "regex", value: "a+" } }).regex, "a+");
  assert.deepEqual(Object.keys(buildRequest([user("x")], { form: { kind: "text" } })), ["messages", "stream", "stream_options"]);
});

test("attached files stand before the question, in fences that they cannot close", () => {
  const [message] = buildRequest([user("Why?", { attachments: [{ name: "a.md", text: "````\nx\n````\n" }] })]).messages;
  assert.equal(message.content, "a.md:\n`````\n````\nx\n````\n`````\n\nWhy?");
});

test("a tool's turn goes back with its call", () => {
  const path = [
    user("Weather?"),
    { role: "assistant", content: "", toolCalls: [{ id: "c1", name: "get", arguments: "{}" }] },
    { role: "tool", toolCallId: "c1", content: "sunny" },
  ];
  assert.deepEqual(buildRequest(path).messages.slice(1), [
    { role: "assistant", content: null, tool_calls: [{ id: "c1", type: "function", function: { name: "get", arguments: "{}" } }] },
    { role: "tool", tool_call_id: "c1", content: "sunny" },
  ]);
});

test("an answer is put together from its chunks, with its figures", () => {
  const message = { content: "" };
  const answer = createAnswer(message, 1000);
  const delta = (part, finish = null) => ({ model: "m", choices: [{ delta: part, finish_reason: finish }] });
  answer.add(delta({ role: "assistant", content: "" }), 1100);
  answer.add(delta({ reasoning_content: "hm" }), 1500);
  answer.add(delta({ reasoning_content: "m" }), 2500);
  answer.add(delta({ content: "He" }), 2600);
  answer.add(delta({ content: "llo" }), 3000);
  answer.add(delta({ tool_calls: [{ index: 0, id: "c", function: { name: "f", arguments: "" } }] }), 3000);
  answer.add(delta({ tool_calls: [{ index: 0, function: { arguments: "{}" } }] }), 3400);
  answer.add(delta({}, "tool_calls"), 3500);
  answer.add({ choices: [], usage: { prompt_tokens: 9, completion_tokens: 5, prompt_tokens_details: { cached_tokens: 4 } } }, 3500);
  assert.equal(message.content, "Hello");
  assert.equal(message.reasoning, "hmm");
  assert.deepEqual(message.toolCalls, [{ id: "c", name: "f", arguments: "{}" }]);
  assert.deepEqual(message.figures, {
    firstSeconds: 0.5, reasoningSeconds: 1, seconds: 2.5, writingSeconds: 2, finish: "tool_calls", prompt: 9, answer: 5, cached: 4,
  });
  assert.equal(tokensPerSecond(message.figures), 2);
  assert.equal(tokensPerSecond({ answer: 105, earlier: 100, writingSeconds: 2 }), 2, "what was there before it was gone on with took no time");
});
