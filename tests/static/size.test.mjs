import assert from "node:assert/strict";
import { readFileSync, readdirSync, statSync } from "node:fs";
import test from "node:test";
import { gzipSync } from "node:zlib";

const STATIC = new URL("../../static/", import.meta.url);
const files = readdirSync(STATIC, { recursive: true }).filter((name) => /\.(?:js|css|html|json|svg)$/.test(name) && statSync(new URL(name, STATIC)).isFile());
const compressed = (names) => names.reduce((sum, name) => sum + gzipSync(readFileSync(new URL(name, STATIC))).length, 0);

test("all of the page, before mathematics, is under 250 kB compressed", () => {
  const size = compressed(files.filter((name) => !name.startsWith("vendor/katex/")));
  assert.ok(size < 250_000, `${size} bytes`);
  assert.ok(size > 50_000, `${size} bytes: were the files found?`);
});

test("modules are small", () => {
  const own = files.filter((name) => name.startsWith("js/") && name.endsWith(".js"));
  const long = own.filter((name) => readFileSync(new URL(name, STATIC), "utf8").split("\n").length > 300);
  assert.deepEqual(long, []);
});

test("nothing in the page is inline code, and nothing comes from elsewhere", () => {
  const html = readFileSync(new URL("index.html", STATIC), "utf8");
  assert.doesNotMatch(html, /<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|https?:\/\//);
  for (const name of files.filter((file) => /^(?:js|css)\//.test(file))) {
    const text = readFileSync(new URL(name, STATIC), "utf8").replace(/\/\*[^]*?\*\//g, "");
    assert.doesNotMatch(text, /\.innerHTML|insertAdjacentHTML|\beval\(|new Function\(|@import/, name);
    assert.doesNotMatch(text.replace(/http:\/\/www\.w3\.org\/[\w/]+/g, ""), /["'(]https?:\/\/(?!\$\{)/, name);
  }
});
