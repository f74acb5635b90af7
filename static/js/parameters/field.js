import { fill, h, iconButton } from "../dom.js";
import { faultOf } from "./catalogue.js";
import { readJson } from "./json_text.js";

/**
 * One parameter. Unset, it shows the server's default and is not sent.
 * @param {import("./catalogue.js").Parameter} parameter
 * @param {{ t: Function, value(): unknown, change(value: unknown): void }} context `change(undefined)` unsets.
 */
export function parameterField(parameter, { t, value, change }) {
  const id = `parameter-${parameter.name}`;
  const fault = h("p.fault", { id: `${id}-fault`, role: "alert", hidden: true });
  const reset = iconButton("close", t("parameters.reset", { name: parameter.name }), () => (change(undefined), update()), { class: "tiny reset" });
  const editor = EDITORS[parameter.kind](parameter, id, t, (next, problem) => {
    show(problem);
    if (!problem) change(next);
    reset.hidden = value() === undefined;
  });

  function show(problem) {
    fault.hidden = !problem;
    fill(fault, problem ? t(problem.key, problem.values) : "");
    editor.input.setAttribute("aria-invalid", String(Boolean(problem)));
  }

  function update() {
    editor.set(value());
    reset.hidden = value() === undefined;
    show(null);
  }

  editor.input.setAttribute("aria-describedby", `${id}-hint ${id}-fault`);
  const element = h(
    "div.field.parameter",
    {},
    h("div.parameter-head", {}, h("label", { for: id }, h("code", {}, parameter.name)), reset, editor.beside),
    editor.below,
    h("p.hint", { id: `${id}-hint`, lang: "en" }, parameter.description),
    fault,
  );
  update();
  return { element, update, name: parameter.name, fail: (words) => (fill(fault, words), (fault.hidden = false)) };
}

const EDITORS = { number: numberEditor, integer: numberEditor, boolean: booleanEditor, enum: enumEditor, texts: textsEditor, json: jsonEditor };

function numberEditor(parameter, id, t, give) {
  const { minimum, maximum, above, kind } = parameter;
  const step = kind === "integer" ? 1 : 0.05;
  const input = h("input.input.number", { id, inputmode: "decimal", autocomplete: "off", placeholder: parameter.default ?? t("parameters.unset") });
  const hasSlider = maximum !== undefined && maximum <= 100;
  const slider = hasSlider && h("input", { type: "range", min: minimum ?? above ?? 0, max: maximum, step, "aria-hidden": true, tabindex: "-1" });
  const take = (text) => {
    if (!text.trim()) return give(undefined, null);
    const number = Number(text.replace(",", "."));
    give(number, faultOf(parameter, number));
  };
  input.addEventListener("input", () => {
    take(input.value);
    if (slider && input.value) slider.value = input.value;
  });
  if (slider) slider.addEventListener("input", () => ((input.value = String(Number(slider.value))), take(input.value)));
  return {
    input,
    beside: input,
    below: slider || null,
    set(value) {
      input.value = value ?? "";
      if (slider) slider.value = String(value ?? parameter.default ?? minimum ?? 0);
    },
  };
}

function booleanEditor(parameter, id, _t, give) {
  const input = h("input", { type: "checkbox", id, onchange: () => give(input.checked, null) });
  return { input, beside: input, below: null, set: (value) => (input.checked = value ?? parameter.default ?? false) };
}

function enumEditor(parameter, id, t, give) {
  const input = h(
    "select.input",
    { id, onchange: () => give(input.value || undefined, null) },
    h("option", { value: "" }, t("parameters.unset")),
    parameter.options.map((option) => h("option", { value: option }, option)),
  );
  return { input, beside: null, below: input, set: (value) => (input.value = value ?? "") };
}

function textsEditor(_parameter, id, t, give) {
  const input = h("textarea.input.code", { id, rows: 2, placeholder: t("parameters.onePerLine"), oninput: () => give(lines(input.value), null) });
  return { input, beside: null, below: input, set: (value) => (input.value = [value ?? []].flat().join("\n")) };
}

const lines = (text) => {
  const all = text.split("\n").filter((line) => line !== "");
  return all.length ? all : undefined;
};

function jsonEditor(_parameter, id, t, give) {
  const input = h("textarea.input.code", { id, rows: 2, placeholder: "{}", spellcheck: "false", oninput: read });
  return { input, beside: null, below: input, set: (value) => (input.value = value === undefined ? "" : JSON.stringify(value)) };

  function read() {
    if (!input.value.trim()) return give(undefined, null);
    const read = readJson(input.value);
    if ("reason" in read) return give(undefined, { key: "form.faults.json", values: { ...read, reason: t(read.reason) } });
    const isObject = read.value && typeof read.value === "object" && !Array.isArray(read.value);
    give(read.value, isObject ? null : { key: "parameters.faults.object" });
  }
}
