import { createPlot } from "../charts/plot.js";
import { fill, h } from "../dom.js";
import { rows } from "../facts.js";
import { SPAN_S } from "./feed.js";
import { createRowList } from "./row_list.js";

/** One model's engine: what it does now, its sequences, its memory, and the last minutes as lines. */
export function createModelPanel(app, id) {
  const { t, format } = app;
  const label = h("span.muted.small");
  const tiles = ["decode", "prefill", "running", "waiting"].map((name) => createTile(t(`engine.tiles.${name}`)));
  const rowList = createRowList(app);
  const kv = createBudget(t("engine.kv"), format, t);
  const cache = createBudget(t("engine.prefix_cache"), format, t);
  const facts = h("dl.facts");
  const rates = createPlot({
    title: t("engine.rates"),
    isTime: true,
    isWhole: true,
    say: (value) => format.number(value),
    least: 10,
    series: [
      { label: t("engine.decode"), colour: "--data-1", fill: true },
      { label: t("engine.prefill"), colour: "--data-2", dash: [6, 4] },
    ],
  });
  const ahead = createPlot({
    title: t("engine.lookahead"),
    isTime: true,
    say: format.percent,
    range: [0, 1],
    series: [{ label: t("engine.lookahead_hits"), colour: "--data-3", fill: true }],
  });
  const body = h(
    "div.engine-body",
    {},
    h("div.engine-tiles", {}, tiles.map(({ element }) => element)),
    h("section.card", {}, h("h3", {}, t("engine.rows")), rowList.element),
    h("div.engine-plots", {}, h("div.card", {}, rates.element), h("div.card", {}, ahead.element)),
    h("div.engine-plots", {}, h("section.card.engine-memory", {}, h("h3", {}, t("engine.memory")), kv.element, cache.element), h("section.card", {}, h("h3", {}, t("engine.totals")), facts)),
  );
  const absent = h("p.muted.card", {}, t("engine.not_loaded"));
  const element = h("section.engine-model", { "aria-label": id }, h("header", {}, h("h2", {}, id), label), absent, body);

  return {
    element,
    /** @param {any} model Of the last event. @param {ReturnType<import("../charts/history.js").createHistory>} history */
    update(model, history) {
      body.hidden = !model.engine;
      absent.hidden = Boolean(model.engine);
      label.textContent = [model.engine, model.status === "leaving" && t("engine.leaving")].filter(Boolean).join(" · ");
      if (!model.engine) return;
      const { decode, prefill } = model.tokens_per_s;
      tiles[0].set(decode === null ? "–" : format.decimal(decode), t("engine.per_s"));
      tiles[1].set(prefill === null ? "–" : format.decimal(prefill), t("engine.per_s"));
      tiles[2].set(format.number(model.running.length), t("engine.of", { count: format.number(model.max_rows) }));
      tiles[3].set(format.number(model.waiting.sequences), t("engine.tokens", { count: model.waiting.tokens, number: format.number(model.waiting.tokens) }));
      rowList.update(model.running);
      kv.set(model.kv.used_bytes, model.kv.budget_bytes);
      cache.set(model.prefix_cache.used_bytes, model.prefix_cache.budget_bytes);
      fill(facts, rows(totalRows(model, t, format)));
      const [times, ...columns] = history.data();
      const shown = lastMinutes(times);
      rates.show([times, columns[0], columns[1]], shown);
      ahead.show([times, columns[2]], shown);
    },
    destroy() {
      rates.destroy();
      ahead.destroy();
    },
  };
}

/** The whole span once there is so much; before, what there is, but a minute at least. */
function lastMinutes(times) {
  const now = Date.now() / 1000;
  return { min: Math.max(now - SPAN_S, Math.min(times[0] ?? now, now - 60)), max: now };
}

function totalRows({ totals, prefix_cache: cache, lookahead }, t, format) {
  const share = (part, whole) => (whole > 0 ? ` (${format.percent(part / whole)})` : "");
  return [
    [t("engine.prompt_tokens"), format.number(totals.prompt_tokens)],
    [t("engine.cache_hits"), format.number(cache.hit_tokens) + share(cache.hit_tokens, cache.asked_tokens)],
    [t("engine.cache_entries"), format.number(cache.entries)],
    [t("engine.answer_tokens"), format.number(totals.generated_tokens)],
    [t("engine.guessed"), format.number(lookahead.guessed_tokens)],
    [t("engine.guessed_right"), format.number(lookahead.hit_tokens) + share(lookahead.hit_tokens, lookahead.guessed_tokens)],
    [t("engine.steps"), format.number(totals.steps)],
    [t("engine.finished"), Object.entries(totals.finished).filter(([, count]) => count).map(([reason, count]) => `${reason} ${format.number(count)}`).join(", ") || "–"],
  ];
}

function createTile(name) {
  const value = h("span.tile-value.numbers");
  const unit = h("span.small.muted.numbers");
  return {
    element: h("div.card.tile", {}, h("span.small.muted", {}, name), h("span.tile-line", {}, value, " ", unit)),
    set(text, of) {
      if (value.textContent !== text) value.textContent = text;
      if (unit.textContent !== of) unit.textContent = of;
    },
  };
}

function createBudget(name, format, t) {
  const meter = h("meter", { min: 0, "aria-label": name });
  const words = h("span.small.muted.numbers");
  return {
    element: h("div.budget", {}, h("span.budget-line", {}, h("span", {}, name), words), meter),
    set(used, budget) {
      meter.max = budget || 1;
      meter.value = used;
      words.textContent = t("engine.used_of", { used: format.bytes(used), budget: format.bytes(budget) });
    },
  };
}
