/**
 * The words of the page, from one file a language (`static/i18n/en.json`, `zh.json`).
 *
 * `t("models.load")` is the text at that key; `t("models.loaded", { name })` puts values where the text says `{name}`.
 * An entry with `one` and `other` chooses by `count`: `t("chat.tokens", { count: 3 })`.
 * @typedef {((key: string, values?: Record<string, string | number>) => string) & { language: string, has(key: string): boolean }} Translate
 */

/** @param {"en" | "zh"} language @returns {Promise<Translate>} */
export async function loadWords(language) {
  const response = await fetch(new URL(`../i18n/${language}.json`, import.meta.url));
  return translator(language, await response.json());
}

/** @param {string} language @param {object} words @returns {Translate} */
export function translator(language, words) {
  const plural = new Intl.PluralRules(language);
  const t = (key, values = {}) => {
    let entry = lookUp(words, key);
    if (entry && typeof entry === "object") entry = entry[plural.select(Number(values.count ?? 0))] ?? entry.other;
    if (typeof entry !== "string") return key;
    return entry.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
  };
  return Object.assign(t, { language, has: (key) => lookUp(words, key) !== undefined });
}

function lookUp(words, key) {
  return key.split(".").reduce((node, part) => (node && Object.hasOwn(node, part) ? node[part] : undefined), words);
}
