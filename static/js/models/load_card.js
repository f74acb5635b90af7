import { fill, h, iconButton } from "../dom.js";

/** The stages of a load, in the server's words and in its order. */
const STAGES = ["begin", "read the folder", "read the tokenizer", "load the weights", "warm up"];

/** What a load does now, or why it failed. @param {object} app @param {ReturnType<import("./model_load.js").modelLoad>} load */
export function createLoadCard({ t, format, health }, load) {
  const words = h("p", { role: "status" });
  const hint = h("p.small.muted");
  const progress = h("progress", { max: STAGES.length, "aria-label": t("models.progress") });
  const close = iconButton("close", t("common.close"), load.putAway, { class: "tiny" });
  const element = h("section.card.load-card", { hidden: true }, h("div.load-words", {}, words, close), progress, hint);

  function update(state) {
    element.hidden = !state || state.status === "ok";
    if (element.hidden) return;
    const isLoading = state.status === "loading";
    element.classList.toggle("failed", !isLoading);
    close.hidden = isLoading;
    progress.hidden = !isLoading;
    progress.value = Math.max(0, STAGES.indexOf(state.stage)) + 0.5;
    const text = isLoading ? loadingWords(state, t, format) : t("models.failed", { model: state.model });
    if (words.textContent !== text) fill(words, text);
    fill(hint, isLoading ? meanwhile(health.value, state, t) : state.fault);
  }
  return { element, leave: load.subscribe(update) };
}

function loadingWords({ model, stage, seconds }, t, format) {
  const key = `models.stages.${(stage || "begin").replaceAll(" ", "_")}`;
  return t("models.loading", { model, stage: t.has(key) ? t(key) : stage, time: format.seconds(seconds) });
}

function meanwhile({ facts }, { model }, t) {
  return facts?.model && facts.model !== model ? t("models.meanwhile", { model: facts.model }) : "";
}
