import { compare } from "../compare/comparison.js";
import { requestParameters, requestProperties } from "../compare/settings_fields.js";
import { createSide } from "../compare/side.js";
import { h } from "../dom.js";

const LETTERS = ["A", "B"];

/** One prompt, two settings or two models. See main.js for the contract of a view. */
export function mount(root, app) {
  const { t, shell, health, api } = app;
  const kept = (app.session.compare ??= { system: "", prompt: "", together: false, values: [{ temperature: "0" }, { temperature: "1" }] });
  const sides = LETTERS.map((letter, at) => createSide(app, letter, kept.values[at]));
  const prompt = textArea("compare-prompt", kept.prompt, 2, (text) => (kept.prompt = text), t("compare.prompt_hint"));
  const system = textArea("compare-system", kept.system, 1, (text) => (kept.system = text), "");
  const fault = h("p.fault", { role: "alert" });
  const start = h("button.button.primary", { type: "submit" }, t("compare.start"));
  const stop = h("button.button.danger", { type: "button", hidden: true, onclick: () => ending?.abort() }, t("compare.stop"));
  const order = orderChoice(kept, t);
  let ending = null;

  const form = h(
    "form.card.compare-form",
    { onsubmit: run, novalidate: true },
    h("div.field", {}, h("label", { for: prompt.id }, t("compare.prompt")), prompt),
    h("div.field", {}, h("label", { for: system.id }, t("compare.system")), system),
    h("div.compare-buttons", {}, start, stop, order),
    fault,
  );
  root.append(
    h(
      "section.page.compare",
      {},
      h("header", {}, shell.menuButton(), h("h1", {}, t("nav.compare")), h("span.muted", {}, t("compare.subtitle"))),
      form,
      h("div.compare-sides", {}, sides.map(({ element }) => element)),
    ),
  );

  async function run(event) {
    event.preventDefault();
    fault.textContent = kept.prompt.trim() ? "" : t("compare.no_prompt");
    if (fault.textContent || ending) return;
    ending = new AbortController();
    update();
    sides.forEach((side) => side.begin());
    await compare(api, kept.values.map((values) => bodyOf(kept, values)), {
      together: kept.together,
      signal: ending.signal,
      onText: (at, text) => sides[at].grow(text),
      onEnd: (at, result) => sides[at].end(result),
    });
    ending = null;
    update();
  }

  function update() {
    const { state, facts } = health.value;
    stop.hidden = !ending;
    start.disabled = Boolean(ending) || state !== "ok";
    for (const side of sides) side.settings.showModels((facts?.models ?? []).map(({ id }) => id));
  }

  const leave = health.subscribe(update);
  requestProperties(app).then(
    (properties) => sides.forEach((side) => side.settings.showParameters(properties)),
    (error) => (fault.textContent = error.message),
  );
  return {
    unmount() {
      leave();
      ending?.abort();
      sides.forEach((side) => side.destroy());
    },
  };
}

function bodyOf({ system, prompt }, values) {
  const messages = [{ role: "user", content: prompt }];
  if (system.trim()) messages.unshift({ role: "system", content: system });
  return { messages, ...requestParameters(values) };
}

function textArea(id, value, rows, keep, placeholder) {
  const area = h("textarea.input", { id, value, rows, placeholder, oninput: () => keep(area.value) });
  return area;
}

function orderChoice(kept, t) {
  const option = (together, words) =>
    h("button.button", { type: "button", "aria-pressed": kept.together === together, onclick: () => choose(together) }, words);
  const buttons = [option(false, t("compare.in_turn")), option(true, t("compare.together"))];
  const choose = (together) => {
    kept.together = together;
    buttons.forEach((button, at) => button.setAttribute("aria-pressed", String(Boolean(at) === together)));
  };
  return h("div.segments", { role: "group", "aria-label": t("compare.order"), title: t("compare.order_hint") }, buttons);
}
