import { fill, h } from "../dom.js";
import { readJson } from "./json_text.js";

const KINDS = ["text", "json_object", "json_schema", "regex", "grammar", "choice"];

const EXAMPLES = {
  json_schema: JSON.stringify({ type: "object", properties: { name: { type: "string" }, age: { type: "integer" } }, required: ["name", "age"] }, null, 2),
  regex: "(yes|no), because [a-z ]{5,60}\\.",
  grammar: 'start: "yes" | "no"',
  choice: "yes\nno\nmaybe",
};

/**
 * The form that answers must have: kind, text and what is wrong with it. Only a form without a fault is used.
 * @param {object} app
 * @param {{ form(): any, change(form: any): void, check(form: any): Promise<string> }} context `check` asks the server.
 */
export function formEditor({ t }, { form, change, check }) {
  const fault = h("p.fault", { role: "alert", id: "form-fault" });
  const said = h("p.hint", { role: "status" });
  const text = h("textarea.input.code", { id: "form-text", rows: 8, spellcheck: "false", "aria-label": t("form.text"), "aria-describedby": "form-fault", oninput: () => take() });
  const kind = h("select.input", { id: "form-kind", onchange: choose }, KINDS.map((name) => h("option", { value: name }, t(`form.kinds.${name}`))));
  const button = h("button.button.tiny", { type: "button", onclick: ask }, t("form.check"));
  const editor = h("div.field", {}, text, fault, h("div.row", {}, button, said));
  const element = h("div.field", {}, h("label", { for: "form-kind" }, t("form.title")), kind, editor);

  function choose() {
    const current = form();
    if (kind.value === "text" || kind.value === "json_object") change({ kind: kind.value });
    else text.value = current?.kind === kind.value ? current.text : EXAMPLES[kind.value];
    show();
    take();
  }

  function show() {
    editor.hidden = kind.value === "text" || kind.value === "json_object";
    fill(said, "");
  }

  function take() {
    if (editor.hidden) return fill(fault, "");
    const { value, words } = readForm(kind.value, text.value, t);
    fill(fault, words ?? "");
    fill(said, "");
    text.setAttribute("aria-invalid", String(Boolean(words)));
    if (!words) change({ kind: kind.value, value, text: text.value });
  }

  async function ask() {
    const { value, words } = readForm(kind.value, text.value, t);
    if (words) return;
    fill(said, t("form.checking"));
    const problem = await check({ kind: kind.value, value });
    fill(said, problem ? "" : t("form.good"));
    fill(fault, problem);
  }

  return {
    element,
    update() {
      const current = form() ?? { kind: "text" };
      if (kind.value === current.kind && text.value === (current.text ?? text.value)) return show();
      kind.value = current.kind;
      if (current.text !== undefined) text.value = current.text;
      fill(fault, "");
      show();
    },
    fail: (words) => fill(fault, words),
  };
}

/** @returns {{ value?: unknown, words?: string }} */
function readForm(kind, text, t) {
  if (!text.trim()) return { words: t("form.faults.empty") };
  if (kind === "choice") return { value: text.split("\n").map((line) => line.trim()).filter(Boolean) };
  if (kind !== "json_schema") return { value: text };
  const read = readJson(text);
  if ("reason" in read) return { words: t("form.faults.json", { ...read, reason: t(read.reason) }) };
  const isObject = read.value && typeof read.value === "object" && !Array.isArray(read.value);
  return isObject ? { value: read.value } : { words: t("form.faults.object") };
}
