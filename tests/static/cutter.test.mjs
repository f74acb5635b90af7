import assert from "node:assert/strict";
import test from "node:test";
import { cutBlocks } from "../../static/js/markdown/cutter.js";

const kinds = (text) => cutBlocks(text).map(({ kind }) => kind);

test("blocks cover the text, blank lines aside", () => {
  const text = "# Title\n\nWords\nand more.\n\n- one\n- two\n\n  deeper\n\n```py\nprint(1)\n\n```\nend\n";
  assert.deepEqual(kinds(text), ["heading", "text", "list", "fence", "text"]);
  assert.equal(cutBlocks(text).map(({ text: part }) => part).join("").replaceAll("\n", ""), text.replaceAll("\n", ""));
});

test("a fence runs to its end, whatever is in it", () => {
  const [fence, rest] = cutBlocks("````\n```\n# no heading\n\n- no list\n````\nafter");
  assert.equal(fence.kind, "fence");
  assert.ok(fence.closed);
  assert.equal(rest.text, "after");
});

test("an open fence is open", () => {
  assert.deepEqual(cutBlocks("```js\nlet a;\n\n").map(({ kind, closed }) => [kind, closed]), [["fence", false]]);
});

test("a fence in a list item stays in the list", () => {
  assert.deepEqual(kinds("1. Do\n   ```sh\n   ls\n\n   cd\n   ```\n2. Then\n\ntext"), ["list", "text"]);
});

test("a list may follow a paragraph without a blank line", () => {
  assert.deepEqual(kinds("Here:\n- a\n- b\n\nAnd:\n1. c\n2. d"), ["text", "list", "text", "list"]);
});

test("tables and formulas are blocks; a price is none", () => {
  assert.deepEqual(kinds("|a|b|\n|-|-|\n|1|2|\n\n$$\nx^2\n$$\n\n\\[ y \\]\n\nIt costs $$ and\nmore"), ["table", "math", "math", "text"]);
});

test("a long list is cut at an item, and the parts join", () => {
  const text = Array.from({ length: 600 }, (_, at) => `${at + 1}. item number ${at + 1}\n   - inner`).join("\n");
  const blocks = cutBlocks(text);
  assert.ok(blocks.length > 3);
  assert.deepEqual(blocks.map(({ joins }) => joins), blocks.map((_, at) => at > 0));
  assert.ok(blocks.every(({ text: part }) => /^\d+\. item/.test(part)));
});

test("a long table is cut at a row, and each part has the head", () => {
  const text = `|a|b|\n|---|---|\n${Array.from({ length: 900 }, (_, at) => `|${at}|words here|`).join("\n")}`;
  const blocks = cutBlocks(text);
  assert.ok(blocks.length > 2);
  assert.ok(blocks.every(({ text: part }) => part.startsWith("|a|b|\n|---|---|\n")));
  assert.equal(blocks.map(({ text: part }) => part.split("\n").filter((row) => /^\|\d/.test(row)).length).reduce((a, b) => a + b), 900);
});

test("one endless line is cut into pieces and no character is broken", () => {
  const text = "🦫".repeat(20000);
  const blocks = cutBlocks(text);
  assert.ok(blocks.length > 5);
  assert.ok(blocks.every(({ text: part }) => part.isWellFormed?.() ?? !/[\ud800-\udbff]$/.test(part)));
  assert.equal(blocks.map(({ text: part }) => part).join(""), text);
});

test("cut at every point, finished blocks are those of the whole text", () => {
  const text = "# A\n\nwords *and* more\n\n- x\n- y\n\n  z\n\n> q\n> r\n\n|a|b|\n|-|-|\n|1|2|\n\n```\ncode\n```\n\n$$\nx\n$$\n\nend";
  const whole = cutBlocks(text).map(({ text: part }) => part.trimEnd());
  for (let at = 0; at <= text.length; at += 1) {
    const blocks = cutBlocks(text.slice(0, at));
    const finished = blocks.slice(0, -1).map(({ text: part }) => part.trimEnd());
    assert.deepEqual(finished, whole.slice(0, finished.length), JSON.stringify(text.slice(0, at)));
  }
});

test("going on from a finished block gives the same as the whole", () => {
  const text = Array.from({ length: 900 }, (_, at) => `- item ${at} with words`).join("\n");
  const whole = cutBlocks(text);
  const again = cutBlocks(text, whole[0].end, whole[0]);
  assert.deepEqual(again, whole.slice(1));
});

test("200 kB are cut in linear time", () => {
  const text = "- a\n".repeat(50000);
  const blocks = cutBlocks(text);
  assert.ok(blocks.length >= 90 && blocks.length <= 110);
});
