import { h } from "../dom.js";
import { longText, numbersOf } from "./plan.js";

const MOST_AT_ONCE = 64;
const MOST_TOKENS = 4096;
const MOST_ROUNDS = 20;

/**
 * The form of a run.
 * @param {object} app
 * @param {{ onStart: (plan: Omit<import("./plan.js").Plan, "model">) => void, onStop: () => void }} actions
 */
export function createPlanForm(app, { onStart, onStop }) {
  const { t } = app;
  const saved = (app.session.benchForm ??= { short: true, long: true, own: false, text: "", concurrencies: "1, 2, 4, 8", rounds: 2, tokens: 64 });
  const remember = (name) => (event) => (saved[name] = event.target.value);
  const check = (name, words, onChange) => {
    const onchange = (event) => ((saved[name] = event.target.checked), onChange?.());
    return h("label.check", {}, h("input", { type: "checkbox", checked: saved[name], onchange }), words);
  };
  const field = (name, words, props) => {
    const id = `bench-${name}`;
    return h("div.field", {}, h("label", { for: id }, words), h("input.input", { id, value: saved[name], oninput: remember(name), autocomplete: "off", ...props }));
  };
  const own = h("textarea.input", { hidden: !saved.own, rows: 3, value: saved.text, oninput: remember("text"), "aria-label": t("bench.own_text"), placeholder: t("bench.own_text") });
  const fault = h("p.fault", { role: "alert" });
  const start = h("button.button.primary", { type: "submit" }, t("bench.start"));
  const stop = h("button.button.danger", { type: "button", onclick: onStop, hidden: true }, t("bench.stop"));

  function submit(event) {
    event.preventDefault();
    const plan = planOf(saved, t);
    fault.textContent = plan.fault ?? "";
    if (!plan.fault) onStart(plan);
  }

  const element = h(
    "form.card.bench-form",
    { onsubmit: submit, novalidate: true },
    h("fieldset", {}, h("legend.label", {}, t("bench.prompts")), check("short", t("bench.short")), check("long", t("bench.long")), check("own", t("bench.own"), () => (own.hidden = !saved.own)), own),
    h("div.bench-numbers", {},
      field("concurrencies", t("bench.concurrencies"), { inputmode: "text" }),
      field("rounds", t("bench.rounds"), { inputmode: "numeric" }),
      field("tokens", t("bench.answer_tokens"), { inputmode: "numeric" }),
    ),
    h("div.field", {}, fault),
    h("div.bench-buttons", {}, start, stop),
  );
  return {
    element,
    /** @param {boolean} isRunning @param {boolean} canStart */
    update(isRunning, canStart) {
      stop.hidden = !isRunning;
      start.disabled = isRunning || !canStart;
    },
  };
}

function planOf(saved, t) {
  const prompts = [
    saved.short && { name: t("bench.short"), text: "Why is the sky blue? Explain it to a child." },
    saved.long && { name: t("bench.long"), text: longText(500) },
    saved.own && { name: t("bench.own"), text: saved.text.trim() },
  ].filter(Boolean);
  const concurrencies = numbersOf(saved.concurrencies, MOST_AT_ONCE);
  const [rounds] = numbersOf(String(saved.rounds), MOST_ROUNDS);
  const [answerTokens] = numbersOf(String(saved.tokens), MOST_TOKENS);
  if (prompts.length === 0 || prompts.some(({ text }) => !text)) return { fault: t("bench.no_prompt") };
  if (concurrencies.length === 0) return { fault: t("bench.no_concurrency", { most: MOST_AT_ONCE }) };
  if (!rounds) return { fault: t("bench.no_rounds", { most: MOST_ROUNDS }) };
  if (!answerTokens || answerTokens < 2) return { fault: t("bench.no_tokens", { most: MOST_TOKENS }) };
  return { prompts, concurrencies, rounds, answerTokens };
}
