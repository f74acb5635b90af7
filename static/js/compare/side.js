import { tokensPerSecond } from "../chat/answer.js";
import { fill, h } from "../dom.js";
import { rows } from "../facts.js";
import { createSettingsFields } from "./settings_fields.js";

/**
 * One side of a comparison: its settings, its answer, and what the answer took.
 * @param {object} app @param {string} letter @param {Record<string, string>} values Of its settings.
 */
export function createSide(app, letter, values) {
  const { t, format } = app;
  const settings = createSettingsFields(app, letter, values);
  const answer = h("div.compare-answer", { tabindex: 0, role: "region", "aria-label": t("compare.answer", { side: letter }), "aria-busy": false });
  const facts = h("dl.facts.compare-facts");
  const note = h("p.small.muted", { role: "status" });
  let painted = null;
  let text = "";

  const paint = () => {
    painted = null;
    answer.textContent = text;
  };
  const element = h(
    "section.card.compare-side",
    { "aria-label": t("compare.side", { side: letter }) },
    h("h2", {}, letter),
    settings.element,
    answer,
    note,
    facts,
  );
  return {
    element,
    settings,
    begin() {
      text = "";
      paint();
      fill(facts);
      note.className = "small muted";
      note.textContent = t("compare.waiting");
      answer.setAttribute("aria-busy", "true");
    },
    /** Paints once a frame, however fast the tokens come. @param {string} next */
    grow(next) {
      text = next;
      if (note.textContent) note.textContent = "";
      painted ??= requestAnimationFrame(paint);
    },
    /** @param {{ figures?: object, fault?: Error, isStopped?: boolean }} result */
    end({ figures, fault, isStopped }) {
      answer.setAttribute("aria-busy", "false");
      note.textContent = fault ? fault.message : isStopped ? t("compare.stopped") : "";
      note.classList.toggle("bad", Boolean(fault));
      if (figures) fill(facts, rows(figureRows(figures, t, format)));
    },
    destroy: () => cancelAnimationFrame(painted),
  };
}

const figureRows = (figures, t, format) => [
  [t("compare.first_token"), format.seconds(figures.firstSeconds ?? figures.seconds)],
  [t("compare.rate"), tokensPerSecond(figures) === null ? "–" : format.decimal(tokensPerSecond(figures))],
  [t("compare.total"), format.seconds(figures.seconds)],
  [t("compare.prompt_tokens"), t("compare.of_cached", { prompt: format.number(figures.prompt), cached: format.number(figures.cached) })],
  [t("compare.answer_tokens"), format.number(figures.answer)],
  [t("compare.finish"), figures.finish],
];
