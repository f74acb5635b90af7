import assert from "node:assert/strict";
import test from "node:test";
import { heal } from "../../static/js/markdown/heal.js";
import { isTangled, limitNesting } from "../../static/js/markdown/limits.js";

const HEALED = [
  ["some **bold", "some **bold**"],
  ["some **bold**", "some **bold**"],
  ["some *it", "some *it*"],
  ["some **", "some "],
  ["a `code", "a `code`"],
  ["2 * 3 = 6", "2 * 3 = 6"],
  ["- one **b", "- one **b**", "list"],
  ["see [the page", "see the page"],
  ["see [the page](https://exa", "see the page"],
  ["see [the page](https://example.org) now", "see [the page](https://example.org) now"],
  ["| a | b", "| a | b|\n|---|---|"],
  ["text\n-", "text\n"],
  ["~~gone", "~~gone~~"],
];
for (const [source, expected, kind = "text"] of HEALED) {
  test(`${JSON.stringify(source)} is shown as ${JSON.stringify(expected)}`, () => assert.equal(heal(source, kind), expected));
}

test("5,000 nested quotes and lists are shown 12 deep", () => {
  for (const marker of [">", "> ", "- ", "1. "]) {
    const limited = limitNesting(`${marker.repeat(5000)}x`);
    assert.ok(limited.split("\\")[0].length <= 12 * 4 + 8, marker);
  }
});

test("lists that nest by indentation end somewhere too", () => {
  const deep = Array.from({ length: 5000 }, (_, at) => `${" ".repeat(2 * at)}- x`).join("\n");
  assert.ok(limitNesting(deep).split("\n").every((line) => line.length < 60));
});

test("ordinary nesting stays as it is", () => {
  const text = "> > quote\n- a\n  - b\n    - c\n\n    code";
  assert.equal(limitNesting(text), text);
});

test("ordinary text is not tangled, a heap of marks is", () => {
  assert.ok(!isTangled("A [link](https://x.y) and **bold** `code`. ".repeat(100)));
  assert.ok(isTangled("[".repeat(5000)));
  assert.ok(isTangled("*a_".repeat(2000)));
});
