/** Every language has every text, every text is used, and every text that is used is there. */
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import test from "node:test";

const STATIC = new URL("../../static/", import.meta.url);
const words = (language) => JSON.parse(readFileSync(new URL(`i18n/${language}.json`, STATIC), "utf8"));

function keysOf(node, prefix = "") {
  return Object.entries(node).flatMap(([name, value]) => {
    const key = prefix + name;
    if (typeof value === "string") return [key];
    return "other" in value ? [key] : keysOf(value, `${key}.`);
  });
}

function lookUp(node, key) {
  return key.split(".").reduce((at, part) => at[part], node);
}

const placeholders = (entry) => [...new Set(JSON.stringify(entry).match(/\{\w+\}/g) ?? [])].sort();

const source = readdirSync(new URL("js/", STATIC), { recursive: true })
  .filter((name) => name.endsWith(".js"))
  .map((name) => readFileSync(new URL(`js/${name}`, STATIC), "utf8"))
  .join("\n")
  .replace(/\/\*\*[^]*?\*\//g, "");

test("English and Chinese have the same keys", () => {
  assert.deepEqual(keysOf(words("zh")).sort(), keysOf(words("en")).sort());
});

test("both say the same placeholders at each key", () => {
  const [en, zh] = [words("en"), words("zh")];
  for (const key of keysOf(en)) assert.deepEqual(placeholders(lookUp(zh, key)), placeholders(lookUp(en, key)), key);
});

test("no text is empty, and no Chinese text is left in English", () => {
  const zh = words("zh");
  const same = keysOf(zh).filter((key) => typeof lookUp(zh, key) === "string" && lookUp(zh, key) === lookUp(words("en"), key));
  for (const key of keysOf(zh)) assert.notEqual(JSON.stringify(lookUp(zh, key)).trim(), '""', key);
  for (const key of same) assert.doesNotMatch(lookUp(zh, key).replace(/\{\w+\}/g, ""), /[a-z]{3,}\s+[a-z]{3,}/, key);
});

/** Literal keys, and for template keys such as t(`nav.${name}`) a pattern. */
const literal = new Set([...source.matchAll(/["'`]([a-z]\w*(?:\.\w+)+)["'`]/g)].map(([, key]) => key));
const patterns = [...source.matchAll(/`([a-z]\w*\.(?:[\w.]*\$\{[^}]*\})+[\w.]*)`/g)].map(
  ([, text]) => new RegExp(`^${text.replace(/\$\{[^}]*\}/g, "[\\w.]+").replace(/\.(?!\]|\*)/g, ".")}$`),
);

test("no text is unused", () => {
  const unused = keysOf(words("en")).filter((key) => !literal.has(key) && !patterns.some((pattern) => pattern.test(key)));
  assert.deepEqual(unused, []);
});

test("no text that the code asks for is missing", () => {
  const known = new Set(keysOf(words("en")));
  const asked = [...source.matchAll(/\bt\(\s*["']([\w.]+)["']/g)].map(([, key]) => key);
  assert.deepEqual(asked.filter((key) => !known.has(key)), []);
});
