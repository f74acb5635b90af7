import { bench } from "../bench/bench_run.js";
import { createPlanForm } from "../bench/plan_form.js";
import { createResults } from "../bench/results.js";
import { fill, h } from "../dom.js";

/** Measures the loaded model: prompts × concurrency. See main.js for the contract of a view. */
export function mount(root, app) {
  const { t, shell, health } = app;
  const run = bench(app);
  const form = createPlanForm(app, {
    onStart: (plan) => run.start({ ...plan, model: health.value.facts.model }),
    onStop: run.stop,
  });
  const results = createResults(app);
  const progress = h("progress.bench-progress", { "aria-label": t("bench.progress") });
  const words = h("p.small.muted", { role: "status" });
  root.append(
    h(
      "section.page.bench",
      {},
      h("header", {}, shell.menuButton(), h("h1", {}, t("nav.bench")), h("span.muted", {}, t("bench.subtitle"))),
      form.element,
      h("div.bench-state", {}, progress, words),
      results.element,
      h("details.bench-method", {}, h("summary", {}, t("bench.method_title")), h("p", {}, t("bench.method"))),
    ),
  );

  function update() {
    const state = run.value;
    form.update(state.status === "running", health.value.state === "ok");
    progress.hidden = state.status !== "running";
    progress.max = state.total || 1;
    progress.value = state.done;
    const text = stateWords(state, health.value, t);
    if (words.textContent !== text) fill(words, text);
    words.classList.toggle("bad", state.status === "failed");
    results.update(state);
  }
  const leave = [run.subscribe(update), health.subscribe(update)];
  return { unmount: () => (leave.forEach((end) => end()), results.destroy()) };
}

function stateWords({ status, done, total, now, fault, report }, health, t) {
  if (status === "running") {
    return now ? t("bench.running", { done: done + 1, total, prompt: now.prompt, count: now.concurrency }) : t("bench.warming");
  }
  if (status === "failed") return t("bench.failed", { reason: fault.message });
  if (status === "stopped") return t("bench.stopped", { done, total });
  if (status === "done") return report?.sequences_of_others_at_the_start ? t("bench.done_busy") : t("bench.done");
  return health.state === "empty" ? t("bench.no_model") : "";
}
