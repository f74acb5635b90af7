import { h, icon } from "../dom.js";
import { jsonTree } from "../markdown/json_tree.js";

/** Calls of an answer, as cards with places for their results. */
export function toolCards(message, results, { t }, onResults) {
  const isOpen = message.state !== "streaming" && results.length === 0;
  const cards = message.toolCalls.map((call, at) => toolCard(call, at, results[at], isOpen, t));
  const form = h("form.tool-cards", { onsubmit: submit }, cards.map(({ element }) => element));
  if (isOpen) form.append(h("button.button.primary", { type: "submit" }, t("tools.goOn", { count: cards.length })));
  return form;

  function submit(event) {
    event.preventDefault();
    onResults(cards.map(({ value }) => value()));
  }
}

function toolCard(call, at, result, isOpen, t) {
  const id = `result-${call.id}-${at}`;
  const input = h("textarea.input.code", { id, rows: 3, required: true, spellcheck: "false", placeholder: t("tools.placeholder") });
  return {
    value: () => input.value,
    element: h(
      "section.tool-card",
      { "aria-label": t("tools.call", { name: call.name }) },
      h("header", {}, icon("tool"), h("code", {}, call.name), h("span.muted.small", {}, t("tools.called"))),
      argumentsOf(call.arguments),
      isOpen && h("div.field", {}, h("label", { for: id }, t("tools.result")), input),
      result && h("div.field", {}, h("span.label", {}, t("tools.result")), valueOf(result.content)),
    ),
  };
}

const argumentsOf = (text) => h("div.tool-arguments", {}, valueOf(text || "{}"));

function valueOf(text) {
  try {
    return jsonTree(JSON.parse(text));
  } catch {
    return h("pre.plain-text", {}, text);
  }
}
