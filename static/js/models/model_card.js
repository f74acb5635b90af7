import { fill, h } from "../dom.js";
import { rows } from "../facts.js";

/**
 * One model of the store.
 * @param {object} app @param {{ onLoad: (alias: string) => void }} actions
 */
export function createModelCard({ t, format }, { onLoad }) {
  const name = h("h3.model-name");
  const badge = h("span.badge");
  const facts = h("dl.facts");
  const memory = h("div.model-memory");
  const button = h("button.button", { type: "button", onclick: () => onLoad(alias) });
  const element = h("li.card.model", {}, h("header", {}, name, badge), facts, memory, button);
  let alias = "";

  return {
    element,
    /** @param {any} model A row of `/api/models/available`. @param {{ current: string, isBusy: boolean, freeMb: number }} around */
    update(model, { current, isBusy, freeMb }) {
      alias = model.alias;
      const isCurrent = model.alias === current;
      name.textContent = model.alias;
      name.title = model.alias;
      badge.textContent = isCurrent ? t("models.status.answers") : t(`models.status.${model.status}`);
      badge.className = `badge ${isCurrent ? "accent" : ""}`;
      fill(facts, rows(factRows(model, t, format)));
      fill(memory, model.loaded ? null : memoryNeeded(model, freeMb, t, format));
      button.textContent = isCurrent ? t("models.in_use") : model.status === "available" ? t("models.load") : t("models.prefer");
      button.setAttribute("aria-label", `${button.textContent}: ${model.alias}`);
      button.disabled = isCurrent || isBusy;
    },
  };
}

/** @returns {[string, string][]} */
export const factRows = (model, t, format) => [
  [t("models.size"), format.megabytes(model.size_mb)],
  [t("models.weights"), [model.weights, model.kv && t("models.kv", { kv: model.kv })].filter(Boolean).join(", ")],
  [t("models.context"), t("models.tokens", { count: model.context_length, number: format.number(model.context_length) })],
  [t("models.provider"), model.provider],
  [t("models.licence"), model.licence ?? t("models.unknown")],
].filter(([, value]) => value);

/** What a model will need, beside what is free. @param {{ memory_mb: number }} model @param {number} freeMb */
export function memoryNeeded({ memory_mb: needed }, freeMb, t, format) {
  const fits = needed <= freeMb;
  const words = t(fits ? "models.needs" : "models.too_large", { needed: format.megabytes(needed), free: format.megabytes(freeMb) });
  const bounds = { min: 0, max: Math.max(freeMb, needed), low: freeMb * 0.8, high: freeMb, optimum: 0 };
  return [h("meter", { ...bounds, value: needed, "aria-label": t("models.memory") }), h("span.small", { class: fits ? "muted" : "bad" }, words)];
}
