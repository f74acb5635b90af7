import { fill, h } from "../dom.js";
import { createCatalogue } from "../models/catalogue.js";
import { createLoadCard } from "../models/load_card.js";
import { createModelCard } from "../models/model_card.js";
import { modelLoad } from "../models/model_load.js";
import { watchPulls } from "../models/pull.js";
import { createPullCard } from "../models/pull_card.js";
import { poll } from "../polling.js";

const EVERY_MS = 5000;

/** The models of the store, and loading one of them. See main.js for the contract of a view. */
export function mount(root, app) {
  const { t, format, shell, api, toast } = app;
  const load = modelLoad(app);
  const loadCard = createLoadCard(app, load);
  const pulls = watchPulls(app, () => polling.now());
  const pullCard = createPullCard(app, pulls);
  const catalogue = createCatalogue(app, pulls);
  const free = h("span.muted.small.numbers");
  const fault = h("p.bad", { role: "status" });
  const list = h("ul.cards.models", { "aria-labelledby": "store-models" });
  const cards = new Map();
  let shown = null;

  root.append(
    h(
      "section.page",
      {},
      h("header", {}, shell.menuButton(), h("h1", {}, t("nav.models")), free),
      loadCard.element,
      pullCard.element,
      fault,
      h("h2", { id: "store-models" }, t("models.here")),
      list,
      catalogue.element,
    ),
  );

  const polling = poll(async (signal) => {
    try {
      const [library, offer] = await Promise.all([api.get("/api/models/available", { signal }), api.get("/api/models/catalog", { signal })]);
      shown = library;
      catalogue.show(offer);
      fill(fault);
      update();
    } catch (error) {
      fill(fault, error.message);
    }
  }, EVERY_MS);

  function update() {
    if (!shown) return;
    const { models, current } = shown;
    const freeMb = shown.memory.free_mb;
    const around = { current, freeMb, isBusy: load.value?.status === "loading" };
    free.textContent = t("models.free", { free: format.megabytes(freeMb) });
    for (const model of models) cardOf(model.alias).update(model, around);
    for (const [alias, card] of cards) if (!models.some((model) => model.alias === alias)) drop(alias, card);
    if (models.length === 0) fill(list, h("li.empty", {}, t("models.none")));
  }

  function cardOf(alias) {
    if (!cards.has(alias)) {
      if (cards.size === 0) fill(list);
      cards.set(alias, createModelCard(app, { onLoad: load.start }));
      list.append(cards.get(alias).element);
    }
    return cards.get(alias);
  }

  function drop(alias, card) {
    card.element.remove();
    cards.delete(alias);
  }

  let wasLoading = false;
  const leave = load.subscribe((state) => {
    if (wasLoading && state?.status === "ok") toast(t("models.loaded", { model: state.model }));
    if (wasLoading && state?.status !== "loading") polling.now();
    wasLoading = state?.status === "loading";
    update();
  });
  return {
    unmount() {
      leave();
      loadCard.leave();
      pullCard.leave();
      catalogue.leave();
      pulls.stop();
      polling.stop();
    },
  };
}
