import assert from "node:assert/strict";
import test from "node:test";
import { spoofedHost } from "../../static/js/markdown/links.js";

const CASES = [
  ["the manual", "https://docs.example.org/x", ""],
  ["docs.example.org", "https://docs.example.org/x", ""],
  ["https://www.example.org/a", "https://example.org/a", ""],
  ["www.bank.example", "https://thief.example", "thief.example"],
  ["bank.example.", "https://bank.example.thief.example", "bank.example.thief.example"],
  ["ｂank.example", "https://thief.example", "thief.example"],
  ["Version 2.5 of a.py", "https://example.org", "example.org"],
  ["https://example.org/a.png", "https://example.org/a.png", ""],
  ["https://bank.example/a.png", "https://thief.example/a.png", "thief.example"],
  ["Version 2.5", "https://example.org", ""],
  ["write to a@bank.example", "mailto:a@thief.example", "thief.example"],
];
for (const [words, href, expected] of CASES) {
  test(`"${words}" to ${href} shows ${expected || "nothing more"}`, () => assert.equal(spoofedHost(words, href), expected));
}
