import { fill, h } from "../dom.js";
import { rows } from "../facts.js";
import { lastMinutes, usagePlot } from "./device_card.js";

/** The server's own process: its memory and its share of the processor, each with the last ten minutes. */
export function createProcessCard({ t, format }) {
  const figures = h("dl.facts");
  const load = (value) => format.percent(value / 100);
  const memory = usagePlot(t("system.process_memory"), format);
  const cpu = usagePlot(t("system.process_cpu"), format, { colour: "--data-2", say: load });
  const name = t("system.kinds.process");
  const element = h(
    "article.card.device",
    { "aria-label": name },
    h("header", {}, h("h2", {}, name)),
    h("p.device-label.muted.small", {}, t("system.process_hint")),
    figures,
    h("div.device-lines", {}, line(t("system.process_memory"), memory), line(t("system.process_cpu"), cpu)),
  );
  return {
    element,
    /** @param {any} facts @param {ReturnType<import("../charts/history.js").createHistory>} history */
    update(facts, history) {
      fill(figures, rows([
        [t("system.process_memory"), format.megabytes(facts.rss_mb)],
        [t("system.process_cpu"), load(facts.cpu_percent)],
        [t("system.process_id"), String(facts.pid)],
      ]));
      const [times, rss, load_] = history.data();
      memory.show([times, rss], lastMinutes());
      cpu.show([times, load_], lastMinutes());
    },
    destroy() {
      memory.destroy();
      cpu.destroy();
    },
  };
}

const line = (words, plot) => h("div", {}, h("p.small.muted", {}, words), plot.element);
