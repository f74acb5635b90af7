import { createPlot } from "../charts/plot.js";
import { fill, h, icon } from "../dom.js";
import { saveFile } from "../save_file.js";

const COLOURS = ["--data-1", "--data-2", "--data-3"];

/** Plots and a table of a run, and its results as JSON. */
export function createResults(app) {
  const { t, format } = app;
  const plots = h("div.bench-plots");
  const table = h("div.table-scroll", { tabindex: 0, role: "region", "aria-label": t("bench.results") });
  const save = h("button.button", { type: "button", onclick: () => saveReport(report) }, icon("download"), t("bench.save"));
  const copy = h("button.button", { type: "button", onclick: () => copyReport(report, app) }, icon("copy"), t("bench.copy"));
  const buttons = h("div.bench-buttons", { hidden: true }, save, copy);
  const element = h("section.bench-results", { hidden: true }, plots, h("div.card", {}, table), buttons);
  let drawn = [];
  let report = null;
  let shown = null;

  function redraw(rows) {
    for (const plot of drawn) plot.destroy();
    const prompts = [...new Set(rows.map(({ prompt }) => prompt))];
    drawn = [
      linesOf(prompts, rows, "tokens_per_s", { title: t("bench.rate"), say: (value) => (value % 1 ? format.decimal(value) : format.number(value)), xLabel: t("bench.at_once") }),
      linesOf(prompts, rows, "first_token_s", { title: t("bench.first_token"), say: format.seconds, xLabel: t("bench.at_once") }),
    ];
    fill(plots, drawn.map(({ element: figure }) => h("div.card", {}, figure)));
    fill(table, tableOf(rows, app));
  }

  return {
    element,
    /** @param {{ rows: object[], report: object | null }} state */
    update(state) {
      report = state.report;
      buttons.hidden = !report;
      element.hidden = state.rows.length === 0;
      if (state.rows !== shown && state.rows.length > 0) redraw(state.rows);
      shown = state.rows;
    },
    destroy() {
      for (const plot of drawn) plot.destroy();
    },
  };
}

function linesOf(prompts, rows, figure, options) {
  const xs = [...new Set(rows.map(({ concurrency }) => concurrency))].sort((a, b) => a - b);
  const series = prompts.map((label, at) => ({ label, colour: COLOURS[at % COLOURS.length], points: true, dash: at ? [6, 4] : undefined }));
  const plot = createPlot({ ...options, height: 240, hasValues: false, sayX: (x) => (xs.includes(x) ? String(x) : ""), series });
  const valueAt = (prompt, x) => rows.find((row) => row.prompt === prompt && row.concurrency === x)?.[figure] ?? null;
  plot.show([xs, ...prompts.map((prompt) => xs.map((x) => valueAt(prompt, x)))], { min: Math.min(0.5, xs[0] - 0.5), max: xs.at(-1) + 0.5 });
  return plot;
}

function tableOf(rows, { t, format }) {
  const columns = [
    [t("bench.prompt"), (row) => row.prompt],
    [t("bench.at_once"), (row) => format.number(row.concurrency)],
    [t("bench.prompt_tokens"), (row) => format.number(row.prompt_tokens)],
    [t("bench.rate"), (row) => format.decimal(row.tokens_per_s)],
    [t("bench.rate_of_each"), (row) => format.decimal(row.tokens_per_s_of_each)],
    [t("bench.first_token"), (row) => format.seconds(row.first_token_s)],
    [t("bench.first_token_worst"), (row) => format.seconds(row.first_token_s_worst)],
  ];
  return h(
    "table.table.numbers",
    {},
    h("thead", {}, h("tr", {}, columns.map(([words]) => h("th", { scope: "col" }, words)))),
    h("tbody", {}, rows.map((row) => h("tr", {}, columns.map(([, valueOf], at) => h(at ? "td" : "th", at ? {} : { scope: "row" }, valueOf(row)))))),
  );
}

const textOf = (report) => `${JSON.stringify(report, null, 2)}\n`;

const saveReport = (report) => saveFile(`obeaver-bench-${report.started_at.slice(0, 19).replace(/[:T]/g, "-")}.json`, textOf(report), "application/json");

async function copyReport(report, { t, toast }) {
  try {
    await navigator.clipboard.writeText(textOf(report));
    toast(t("bench.copied"));
  } catch {
    saveReport(report);
  }
}
