import { createPlot } from "../charts/plot.js";
import { fill, h } from "../dom.js";
import { rows } from "../facts.js";
import { createGauge } from "./gauge.js";
import { isThere, SPAN_S } from "./sampler.js";

/**
 * One device: its memory as a dial, its figures, and the last ten minutes as a line. One that is not there has neither.
 * @param {{ t: Function, format: object }} app
 * @param {string} kind "cpu", "gpu" or "npu"
 */
export function createDeviceCard({ t, format }, kind) {
  const name = t(`system.kinds.${kind}`);
  const status = h("span.badge");
  const label = h("p.device-label.muted.small");
  const gauge = createGauge({ label: t("system.memory_of", { device: name }) });
  const figures = h("dl.facts");
  const plot = usagePlot(t("system.memory_of", { device: name }), format);
  const body = h("div.device-body", {}, h("div.device-now", {}, gauge.element, figures), plot.element);
  const silence = h("p.muted.small", {}, t("system.silent"));
  const element = h("article.card.device", { "aria-label": name }, h("header", {}, h("h2", {}, name), status), label, silence, body);

  return {
    element,
    /** @param {any} facts The device's part of the answer. @param {ReturnType<import("../charts/history.js").createHistory>} history */
    update(facts, history) {
      const there = isThere(facts);
      element.classList.toggle("absent", !there);
      body.hidden = !facts.tells_memory;
      silence.hidden = !there || facts.tells_memory;
      status.textContent = t(`system.status.${facts.status}`);
      status.className = `badge ${facts.status === "active" ? "accent" : ""}`;
      label.textContent = there ? facts.label : t(`system.absent.${kind}`);
      if (!facts.tells_memory) return;
      const words = t("system.used_of", { used: format.megabytes(facts.used_mb), total: format.megabytes(facts.total_mb) });
      gauge.set(facts.utilisation, format.percent(facts.utilisation), words);
      fill(figures, rows(figureRows(facts, t, format)));
      plot.show(history.data(), lastMinutes());
    },
    destroy: plot.destroy,
  };
}

const figureRows = (facts, t, format) => [
  [t("system.used"), format.megabytes(facts.used_mb)],
  [t("system.free"), format.megabytes(facts.available_mb)],
  [t("system.total"), format.megabytes(facts.total_mb)],
];

/** The line of memory in use over the last ten minutes. */
export function usagePlot(title, format, { label = title, colour = "--data-1", say = format.megabytes, height = 72 } = {}) {
  return createPlot({ title, height, bare: true, isTime: true, say, series: [{ label, colour, fill: true }] });
}

export function lastMinutes() {
  const max = Date.now() / 1000;
  return { min: max - SPAN_S, max };
}
