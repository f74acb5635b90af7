import { fill, h } from "../dom.js";

/** The parameters that a comparison offers, of all that the request's schema has. */
const NAMES = ["temperature", "top_p", "top_k", "min_p", "repetition_penalty", "max_tokens", "seed"];

/** The properties of a chat request, as `/openapi.json` has them. @returns {Promise<Record<string, any>>} */
export async function requestProperties({ api, session }) {
  session.openapi ??= await api.get("/openapi.json");
  return session.openapi.components.schemas.ChatCompletionRequest.properties;
}

/**
 * Fields for one side of a comparison: its model and its parameters, ranges and words from the schema.
 * @param {object} app @param {string} side A letter. @param {Record<string, string>} values Read at the start, kept up to date.
 */
export function createSettingsFields(app, side, values) {
  const { t } = app;
  const model = h("select.input", { id: `compare-model-${side}`, onchange: () => (values.model = model.value) });
  const parameters = h("div.compare-parameters");
  const element = h(
    "div.compare-settings",
    {},
    h("div.field", {}, h("label", { for: model.id }, t("compare.model")), model),
    parameters,
  );
  return {
    element,
    /** @param {string[]} names Of the models that answer. */
    showModels(names) {
      if (names.join("\n") === [...model.options].map(({ value }) => value).join("\n")) return;
      const chosen = names.includes(values.model) ? values.model : names[side === "B" ? 1 : 0] ?? names[0];
      fill(model, names.map((name) => h("option", { value: name, selected: name === chosen }, name)));
      values.model = chosen ?? "";
    },
    /** @param {Record<string, any>} properties */
    showParameters(properties) {
      fill(parameters, NAMES.filter((name) => properties[name]).map((name) => parameterField(name, properties[name], side, values)));
    },
  };
}

function parameterField(name, schema, side, values) {
  const id = `compare-${name}-${side}`;
  const isWhole = [schema.type].flat().includes("integer");
  const input = h("input.input", {
    id,
    type: "number",
    step: isWhole ? 1 : "any",
    min: schema.minimum,
    max: schema.maximum,
    value: values[name] ?? "",
    placeholder: schema.default ?? "",
    oninput: () => (values[name] = input.value),
  });
  return h("div.field", { title: schema.description }, h("label", { for: id }, h("code", {}, name)), input);
}

/** The parameters of a request: what was filled in. @param {Record<string, string>} values */
export function requestParameters(values) {
  const given = NAMES.filter((name) => values[name] !== undefined && values[name] !== "");
  return { model: values.model, ...Object.fromEntries(given.map((name) => [name, Number(values[name])])) };
}
