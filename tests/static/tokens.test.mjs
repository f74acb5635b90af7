import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import test from "node:test";

const CSS = new URL("../../static/css/", import.meta.url);
const tokens = readFileSync(new URL("tokens.css", CSS), "utf8");

const declarations = (text) => Object.fromEntries([...text.matchAll(/(--[\w-]+):\s*([^;]+);/g)].map(([, name, value]) => [name, value]));
const values = declarations(tokens);

/** What a colour is by day and at night. */
function themed(name) {
  const both = /^light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)$/.exec(values[name]);
  assert.ok(both, `${name}: ${values[name]}`);
  return { light: both[1], dark: both[2] };
}

test("every colour says what it is by day and at night", () => {
  const colours = Object.keys(values).filter((name) => values[name].includes("#"));
  assert.ok(colours.length > 20);
  colours.forEach(themed);
});

test("components take colours from tokens alone", () => {
  for (const name of readdirSync(CSS).filter((file) => file.endsWith(".css") && file !== "tokens.css")) {
    const raw = readFileSync(new URL(name, CSS), "utf8").match(/#[0-9a-f]{3,8}\b(?=[^{]*;)/gi) ?? [];
    assert.deepEqual(raw, [], name);
  }
});

test("every token that is used exists", () => {
  const known = new Set(Object.keys(declarations(tokens)));
  for (const name of readdirSync(CSS).filter((file) => file.endsWith(".css"))) {
    const text = readFileSync(new URL(name, CSS), "utf8");
    const own = new Set(Object.keys(declarations(text)));
    const missing = [...text.matchAll(/var\((--[\w-]+)/g)].map(([, used]) => used).filter((used) => !known.has(used) && !own.has(used));
    assert.deepEqual(missing, [], name);
  }
});

/** WCAG 2 relative luminance and contrast. */
function luminance(hex) {
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255).map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(one, two) {
  const [light, dark] = [luminance(one), luminance(two)].sort((a, b) => b - a);
  return (light + 0.05) / (dark + 0.05);
}

const PAIRS = [
  ...["--ink", "--ink-2", "--ink-3", "--accent", "--bad", "--good", "--warn"].flatMap((ink) => ["--paper", "--surface", "--sunken"].map((ground) => [ink, ground])),
  ["--ink-2", "--hover"],
  ["--on-accent", "--accent"],
  ["--on-accent-soft", "--accent-soft"],
  ["--warn", "--warn-soft"],
  ["--bad", "--bad-soft"],
  ...["ink", "comment", "keyword", "string", "number", "title", "meta"].map((part) => [`--code-${part}`, "--code-ground"]),
];

for (const theme of ["light", "dark"]) {
  test(`text holds 4.5:1 in the ${theme} theme`, () => {
    const low = PAIRS.map(([ink, ground]) => [ink, ground, contrast(themed(ink)[theme], themed(ground)[theme])]).filter(([, , ratio]) => ratio < 4.5);
    assert.deepEqual(low, []);
  });
}
