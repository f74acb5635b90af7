import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import test from "node:test";
import { pythonValue, snippet } from "../../static/js/parameters/snippet.js";

const BODY = {
  messages: [{ role: "user", content: "It's \"here\"\n$HOME `x` \\ 河狸" }],
  temperature: 0.5,
  top_k: 20,
  stop: ["a", "b"],
  stream: true,
  stream_options: { include_usage: true },
};

test("curl sends the very request, whatever the quotes", () => {
  const command = snippet("curl", BODY, "http://127.0.0.1:1573", false).replace(/^curl -sN \S+/, "printf '%s\\n'");
  const { stdout } = spawnSync("sh", ["-c", command], { encoding: "utf8" });
  assert.deepEqual(JSON.parse(stdout.slice(stdout.indexOf("{"))), BODY);
});

test("Python gives the client's arguments, and the rest as extra_body", () => {
  const code = snippet("python", BODY, "http://127.0.0.1:1573", false);
  assert.match(code, /base_url="http:\/\/127\.0\.0\.1:1573\/v1"/);
  assert.match(code, /\n {4}temperature=0\.5,\n/);
  assert.match(code, /extra_body=\{"top_k": 20\}/);
  assert.match(code, /\n {4}stream=True,\n/);
});

test("JavaScript holds the request as an object", () => {
  const code = snippet("javascript", BODY, "http://x", false);
  assert.deepEqual(JSON.parse(/create\((\{[^]*\})\);/.exec(code)[1]), { model: "", ...BODY });
});

test("a key is a variable of the environment, never the key", () => {
  for (const language of ["curl", "python", "javascript"]) assert.match(snippet(language, BODY, "http://x", true), /OBEAVER_API_KEY/);
  for (const language of ["curl", "python", "javascript"]) assert.doesNotMatch(snippet(language, BODY, "http://x", false), /OBEAVER_API_KEY/);
});

test("Python's values", () => {
  assert.equal(pythonValue({ a: [null, true, false, 1.5, "x"], b: {} }), '{"a": [None, True, False, 1.5, "x"], "b": {}}');
});
