import { fill, h } from "../dom.js";

/** The kinds of tokens in a row's bar, in their order. */
const PARTS = ["cached", "computed", "left", "answer"];

/** The sequences that are being computed: one row each, with its prompt and its answer as a bar of tokens. */
export function createRowList({ t, format }) {
  const list = h("ul.engine-rows");
  const empty = h("p.muted", {}, t("engine.quiet"));
  const key = h("p.part-key.small.muted", {}, PARTS.map((name) => h("span", {}, h("span", { class: `part ${name}` }), t(`engine.parts.${name}`))));
  const rows = new Map();
  return {
    element: h("div.engine-rows-frame", {}, list, empty, key),
    /** @param {any[]} running */
    update(running) {
      empty.hidden = running.length > 0;
      key.hidden = running.length === 0;
      const ids = new Set(running.map(({ id }) => id));
      for (const [id, row] of rows) {
        if (ids.has(id)) continue;
        row.element.remove();
        rows.delete(id);
      }
      for (const sequence of running) {
        if (!rows.has(sequence.id)) {
          rows.set(sequence.id, createRow(t, format));
          list.append(rows.get(sequence.id).element);
        }
        rows.get(sequence.id).update(sequence);
      }
    },
  };
}

function createRow(t, format) {
  const phase = h("span.badge");
  const parts = PARTS.map((name) => h("span", { class: `part ${name}` }));
  const words = h("span.small.muted.numbers");
  const age = h("span.small.numbers.engine-age");
  let last = "";
  return {
    element: h("li.engine-row", {}, phase, h("div.token-bar", { "aria-hidden": "true" }, parts), words, age),
    update(sequence) {
      const { prompt_tokens: prompt, prefilled_tokens: prefilled, cached_tokens: cached, answer_tokens: answer } = sequence;
      if (sequence.phase !== last) {
        fill(phase, t(`engine.phase.${sequence.phase}`));
        phase.className = `badge ${sequence.phase === "decode" ? "accent" : "warn"}`;
        last = sequence.phase;
      }
      const lengths = [cached, Math.max(0, prefilled - cached), Math.max(0, prompt - prefilled), answer];
      parts.forEach((part, at) => part.style.setProperty("flex-grow", String(lengths[at])));
      words.textContent = t("engine.row", {
        prompt: format.number(prompt),
        prefilled: format.number(prefilled),
        cached: format.number(cached),
        answer: format.number(answer),
      });
      age.textContent = format.seconds(sequence.seconds);
    },
  };
}
