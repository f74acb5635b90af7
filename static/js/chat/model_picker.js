import { fill, h, icon } from "../dom.js";
import { openMenu } from "../menu.js";

/**
 * Which model answers in this conversation: one that is served, or one of the store that is loaded when it is chosen.
 * @param {object} app @param {() => object | null} conversation
 */
export function modelPicker(app, conversation) {
  const { t, health, api, format } = app;
  const name = h("span.model-name");
  const element = h("button.button.plain.model-picker", { type: "button", title: t("chat.model"), onclick: open }, name, icon("down"));
  let last = null;

  function shown() {
    const served = (health.value.facts?.models ?? []).map(({ id }) => id);
    const chosen = conversation()?.row.settings.model;
    return served.includes(chosen) ? chosen : (health.value.facts?.model ?? t("server.empty"));
  }

  function update() {
    const load = health.value.facts?.load;
    const words = load?.status === "loading" ? t("server.loading", { model: load.model }) : shown();
    if (words === last) return;
    last = words;
    fill(name, words);
    element.setAttribute("aria-label", `${t("chat.model")}: ${words}`);
  }

  async function open() {
    const served = (health.value.facts?.models ?? []).map(({ id }) => id);
    const { models } = await api.get("/api/models/available").catch(() => ({ models: [] }));
    const others = models.filter(({ id, alias }) => !served.includes(id) && !served.includes(alias));
    openMenu(element, [
      ...served.map((id) => ({ label: id, hint: t("chat.loaded"), checked: id === shown(), run: () => choose(id) })),
      others.length > 0 && served.length > 0 ? null : undefined,
      ...others.map((model) => ({ label: model.alias, hint: `${format.megabytes(model.size_mb)} · ${model.weights ?? ""}`, icon: "download", run: () => load(model.alias) })),
      null,
      { label: t("chat.allModels"), icon: "models", run: () => app.go("models") },
    ].filter((row) => row !== undefined));
  }

  function choose(id) {
    conversation().change({ settings: { ...conversation().row.settings, model: id } });
    update();
  }

  async function load(alias) {
    try {
      await api.post("/api/models/load?wait=false", { alias });
      conversation().change({ settings: { ...conversation().row.settings, model: undefined } });
      health.now();
    } catch (error) {
      app.toast(error.message);
    }
  }

  return { element, update, open };
}
