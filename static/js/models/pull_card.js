import { fill, h } from "../dom.js";

/** The pull under way, or how the last one ended. @param {object} app @param {ReturnType<import("./pull.js").watchPulls>} pulls */
export function createPullCard({ t, format }, pulls) {
  const words = h("p", { role: "status" });
  const progress = h("progress", { "aria-label": t("models.pull.progress") });
  const detail = h("p.small.muted.numbers");
  const cancel = h("button.button.danger.tiny", { type: "button", onclick: () => pulls.cancel(pulls.value.pull.id) }, t("common.cancel"));
  const element = h("section.card.load-card.pull-card", { hidden: true }, h("div.load-words", {}, words, cancel), progress, detail);

  function update({ pull, fault }) {
    element.hidden = !pull && !fault;
    if (element.hidden) return;
    const status = fault ? "failed" : pull.status;
    element.classList.toggle("failed", status === "failed");
    cancel.hidden = pull?.status !== "running";
    progress.hidden = status !== "running";
    const text = fault ? t("models.pull.refused") : t(`models.pull.${status}`, { model: pull.model ?? pull.asked });
    if (words.textContent !== text) fill(words, text);
    fill(detail, fault ?? pull.error ?? (status === "running" ? progressWords(pull, t, format) : pull.notes.at(-1)));
    if (status !== "running") return;
    if (pull.total) Object.assign(progress, { max: pull.total, value: pull.done });
    else progress.removeAttribute("value");
  }
  return { element, leave: pulls.subscribe(update) };
}

function progressWords({ stage, unit, done, total, seconds }, t, format) {
  const amount = (count) => (unit === "B" ? format.bytes(count) : `${format.number(count)} ${unit}`);
  const so = total ? t("models.pull.of", { done: amount(done), total: amount(total) }) : done ? amount(done) : "";
  return [stage, so, format.seconds(seconds)].filter(Boolean).join(" · ");
}
