import { fill, h } from "../dom.js";
import { readJson, toolsFault } from "./json_text.js";

/** What `tool_choice` may be, beside the name of one function. */
const CHOICES = ["auto", "required", "none"];

const EXAMPLE = [
  {
    type: "function",
    function: {
      name: "get_weather",
      description: "The current weather of a city",
      parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
    },
  },
];

/** Tools as JSON. Only a list without a fault is used. */
export function toolsEditor({ t }, { tools, change, choice, choose }) {
  const fault = h("p.fault", { role: "alert", id: "tools-fault" });
  const text = h("textarea.input.code", { id: "tools-text", rows: 5, spellcheck: "false", placeholder: t("tools.paste"), "aria-describedby": "tools-fault", oninput: take });
  const example = h("button.button.tiny", { type: "button", onclick: () => ((text.value = JSON.stringify(EXAMPLE, null, 2)), take()) }, t("tools.example"));
  const chooser = h("select.input", { id: "tool-choice", onchange: () => choose(chooser.value || undefined) }, CHOICES.map((name) => h("option", { value: name === "auto" ? "" : name }, t(`tools.choices.${name}`))));
  const choices = h("div.field", {}, h("label", { for: "tool-choice" }, t("tools.choice")), chooser);
  let shown;

  function take() {
    const words = faultWords();
    fill(fault, words);
    text.setAttribute("aria-invalid", String(Boolean(words)));
    if (words) return;
    shown = text.value.trim() ? JSON.parse(text.value) : undefined;
    choices.hidden = !shown;
    change(shown);
  }

  function faultWords() {
    if (!text.value.trim()) return "";
    const read = readJson(text.value);
    if ("reason" in read) return t("form.faults.json", { ...read, reason: t(read.reason) });
    const problem = toolsFault(read.value);
    return problem ? t(problem.key, problem.values) : "";
  }

  return {
    element: h("div.field", {}, h("label", { for: "tools-text" }, t("tools.title")), text, fault, h("div.row", {}, example), choices),
    update() {
      const current = tools();
      chooser.value = choice() ?? "";
      choices.hidden = !current;
      if (JSON.stringify(current) === JSON.stringify(shown)) return;
      shown = current;
      text.value = current ? JSON.stringify(current, null, 2) : "";
      fill(fault, "");
    },
    fail: (words) => fill(fault, words),
  };
}
