import { askText } from "../dialog.js";
import { h, icon } from "../dom.js";
import { openMenu } from "../menu.js";
import { isPreset, PRESETS, withPreset } from "./presets.js";

/** The presets as one choice: the page's, a person's own, and the way to keep another. */
export function presetRow(app, { parameters, change }) {
  const { t, store } = app;
  const words = h("span.model-name");
  const button = h("button.button", { type: "button", onclick: () => openMenu(button, rows()), "aria-describedby": "preset-label" }, words, icon("down"));

  const all = () => [
    ...PRESETS.map(({ name, parameters: value }) => ({ name: t(`presets.${name}`), value })),
    ...store.library.of("preset"),
  ];
  const current = () => all().find(({ value }) => isPreset(value, parameters()));

  function rows() {
    const shown = current();
    const own = store.library.of("preset").find(({ id }) => id === shown?.id);
    return [
      ...all().map((preset) => ({ label: preset.name, checked: preset === shown || preset.name === shown?.name, run: () => change(withPreset(preset.value, parameters())) })),
      { label: t("presets.server"), checked: isPreset({}, parameters()), run: () => change(withPreset({}, parameters())) },
      null,
      { label: t("presets.keep"), icon: "plus", run: keep },
      ...(own ? [{ label: t("presets.forget", { name: own.name }), icon: "trash", danger: true, run: () => store.library.remove(own.id) }] : []),
    ];
  }

  async function keep() {
    const name = await askText(t, { title: t("presets.keep"), label: t("presets.name"), confirm: t("common.save") });
    if (!name?.trim()) return;
    const { seed: _seed, ...value } = parameters();
    await store.library.keep("preset", name.trim(), value);
    update();
  }

  function update() {
    words.textContent = isPreset({}, parameters()) ? t("presets.server") : (current()?.name ?? t("presets.custom"));
  }

  return { element: h("div.field", {}, h("span.label", { id: "preset-label" }, t("presets.title")), button), update };
}
