import { h } from "../dom.js";

/** The latest requests, the newest first. Nothing of what was said is in it. */
export function createRequestLog({ t, format }) {
  const body = h("tbody");
  const columns = ["time", "method", "path", "status", "took", "prompt_tokens", "answer_tokens", "id"];
  const head = h("thead", {}, h("tr", {}, columns.map((name) => h("th", { scope: "col", class: isWords(name) ? "words" : "" }, t(`engine.log.${name}`)))));
  const empty = h("p.muted", {}, t("engine.no_requests"));
  const scroller = h("div.table-scroll.request-log", { tabindex: 0, role: "region", "aria-label": t("engine.requests") }, h("table.table.numbers", {}, head, body));
  let shown = [];
  return {
    element: h("section.card", {}, h("h2", {}, t("engine.requests")), empty, scroller),
    /** @param {any[]} requests */
    update(requests) {
      if (requests === shown) return;
      const fresh = shown.length ? requests.filter(({ number }) => number > shown[0].number) : requests;
      if (requests.length && shown.length && requests[0].number < shown[0].number) body.replaceChildren();
      body.prepend(...fresh.map((request) => rowOf(request, t, format)));
      while (body.children.length > requests.length) body.lastElementChild.remove();
      empty.hidden = requests.length > 0;
      scroller.hidden = requests.length === 0;
      shown = requests;
    },
  };
}

const isWords = (name) => ["method", "path", "id"].includes(name);

function rowOf(request, t, format) {
  const bad = request.status >= 400 || !request.complete;
  const status = h("span", { class: bad ? "badge bad" : "badge" }, String(request.status), !request.complete && ` ${t("engine.broken_off")}`);
  const cells = [
    new Date(request.started_at * 1000).toLocaleTimeString(t.language),
    request.method,
    h("code", {}, request.path),
    status,
    format.seconds(request.seconds),
    request.prompt_tokens === null ? "" : format.number(request.prompt_tokens),
    request.answer_tokens === null ? "" : format.number(request.answer_tokens),
    h("code", {}, request.id),
  ];
  const wordCells = new Set([1, 2, 7]);
  return h("tr", {}, cells.map((cell, at) => h("td", { class: wordCells.has(at) ? "words" : "" }, cell)));
}
