import { h } from "../dom.js";
import { tokensPerSecond } from "./answer.js";

/**
 * What an answer took, in one quiet line. @param {object} message @param {object} app @returns {HTMLElement}
 */
export function figuresLine(message, { t, format }) {
  const figures = message.figures ?? {};
  const rate = tokensPerSecond(figures);
  const parts = [
    rate && t("figures.rate", { rate: format.decimal(rate) }),
    figures.firstSeconds !== undefined && t("figures.first", { time: format.seconds(figures.firstSeconds) }),
    figures.prompt !== undefined && promptWords(figures, t, format),
    figures.answer !== undefined && t("figures.answer", { count: figures.answer, number: format.number(figures.answer) }),
    figures.finish && (t.has(`figures.finish.${figures.finish}`) ? t(`figures.finish.${figures.finish}`) : figures.finish),
    message.state === "stopped" && t("figures.stopped"),
    figures.seed !== undefined && t("figures.seed", { seed: figures.seed }),
    message.model,
  ].filter(Boolean);
  return h("p.figures.numbers", {}, parts.map((part) => h("span", {}, part)));
}

function promptWords({ prompt, cached }, t, format) {
  const values = { count: prompt, number: format.number(prompt), cached: format.number(cached) };
  return cached ? t("figures.promptCached", values) : t("figures.prompt", values);
}
