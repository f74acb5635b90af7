import { fill, h } from "../dom.js";
import { engineFeed } from "../engine/feed.js";
import { createModelPanel } from "../engine/model_panel.js";
import { createRequestLog } from "../engine/request_log.js";

/** A look into the engines while they work. See main.js for the contract of a view. */
export function mount(root, app) {
  const { t, shell } = app;
  const state = h("p.small", { role: "status" });
  const place = h("div.engine-models");
  const empty = h("p.empty.card", { hidden: true }, t("engine.no_model"));
  const log = createRequestLog(app);
  const panels = new Map();
  root.append(
    h(
      "section.page.engine",
      {},
      h("header", {}, shell.menuButton(), h("h1", {}, t("nav.engine")), h("span.muted", {}, t("engine.subtitle"))),
      state,
      empty,
      place,
      log.element,
    ),
  );

  const feed = engineFeed(app);
  const leave = feed.subscribe(({ models, requests, fault }) => {
    state.hidden = !fault;
    if (fault) fill(state, h("span.bad", {}, t("engine.unknown", { reason: fault.message })));
    if (!models) return;
    empty.hidden = models.length > 0;
    for (const [id, panel] of panels) if (!models.some((model) => model.id === id)) drop(id, panel);
    for (const model of models) panelOf(model.id).update(model, feed.history(model.id));
    log.update(requests);
  });
  const end = feed.watch();

  function panelOf(id) {
    if (!panels.has(id)) {
      panels.set(id, createModelPanel(app, id));
      place.append(panels.get(id).element);
    }
    return panels.get(id);
  }

  function drop(id, panel) {
    panel.destroy();
    panel.element.remove();
    panels.delete(id);
  }

  return {
    unmount() {
      leave();
      end();
      for (const panel of panels.values()) panel.destroy();
    },
  };
}
