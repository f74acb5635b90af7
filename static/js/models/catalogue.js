import { fill, h } from "../dom.js";
import { rows } from "../facts.js";
import { copyText } from "../markdown/code_block.js";
import { memoryNeeded } from "./model_card.js";

/**
 * The models that can be had by name, with what this machine can hold.
 * @param {object} app @param {ReturnType<import("./pull.js").watchPulls>} pulls
 */
export function createCatalogue(app, pulls) {
  const { t } = app;
  const list = h("ul.cards.models");
  const how = h("p.small.muted");
  const address = addressForm(app, pulls);
  const element = h("section.catalogue", { hidden: true, "aria-label": t("models.catalogue") }, h("h2", {}, t("models.catalogue")), how, address, list);
  let told = null;

  function update() {
    if (!told) return;
    const { allowed, pull } = pulls.value;
    address.hidden = !allowed;
    how.textContent = t(allowed ? "models.pull.allowed" : "models.pull.not_allowed");
    const chats = told.models.filter(({ kind }) => kind === "chat");
    element.hidden = chats.length === 0;
    const isBusy = pull?.status === "running";
    fill(list, chats.map((model) => catalogueCard(model, told.memory.free_mb, { allowed, isBusy }, app, pulls)));
  }
  return {
    element,
    /** @param {{ memory: object, models: any[] }} next The answer of `/api/models/catalog`. */
    show(next) {
      const changed = JSON.stringify(next.models) !== JSON.stringify(told?.models);
      told = next;
      if (changed) update();
    },
    leave: pulls.subscribe(onPulls(update)),
  };
}

/** Calls when what a card shows of pulls has changed, and not at each step of one. */
function onPulls(update) {
  let last = "";
  return ({ allowed, pull }) => {
    const now = `${allowed} ${pull?.status}`;
    if (now !== last) update();
    last = now;
  };
}

function catalogueCard(model, freeMb, { allowed, isBusy }, app, pulls) {
  const { t, format } = app;
  const about = model.approximate ? "≈ " : "";
  const facts = [
    [t("models.size"), about + format.megabytes(model.size_mb)],
    [t("models.weights"), model.quantisation],
    [t("models.context"), t("models.tokens", { count: model.context_length, number: format.number(model.context_length) })],
    [t("models.licence"), model.licence],
  ].filter(([, value]) => value);
  return h(
    "li.card.model",
    {},
    h("header", {}, h("h3.model-name", { title: model.name }, model.name), fitBadge(model, t)),
    h("p.small.muted", {}, model.description),
    h("dl.facts", {}, rows(facts)),
    h("div.model-memory", {}, memoryNeeded(model, freeMb, t, format)),
    !model.installed && action(model, { allowed, isBusy }, app, pulls),
  );
}

function fitBadge({ installed, fits, fits_now: fitsNow }, t) {
  if (installed) return h("span.badge.accent", {}, t("models.fit.installed"));
  if (fitsNow) return h("span.badge", {}, t("models.fit.now"));
  return fits ? h("span.badge.warn", {}, t("models.fit.later")) : h("span.badge.bad", {}, t("models.fit.never"));
}

function action({ name }, { allowed, isBusy }, { t, toast }, pulls) {
  if (allowed) {
    const words = t("models.pull.start");
    return h("button.button", { type: "button", disabled: isBusy, "aria-label": `${words}: ${name}`, onclick: () => pulls.start(name) }, words);
  }
  const command = `obeaver pull ${name}`;
  const copy = async () => {
    await copyText(command);
    toast(t("models.pull.copied", { command }));
  };
  return h("button.button.plain.command", { type: "button", title: t("models.pull.copy"), "aria-label": `${t("models.pull.copy")}: ${command}`, onclick: copy }, h("code", {}, command));
}

function addressForm({ t }, pulls) {
  const input = h("input.input", { id: "pull-address", placeholder: "hf:ORG/REPO", autocomplete: "off", spellcheck: "false" });
  const submit = (event) => {
    event.preventDefault();
    if (input.value.trim()) pulls.start(input.value.trim());
  };
  return h(
    "form.pull-address",
    { hidden: true, onsubmit: submit },
    h("div.field", {}, h("label", { for: input.id }, t("models.pull.address")), input),
    h("button.button", { type: "submit" }, t("models.pull.start")),
  );
}
