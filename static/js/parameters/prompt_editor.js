import { askText } from "../dialog.js";
import { h, iconButton } from "../dom.js";
import { openMenu } from "../menu.js";

/** The system prompt, and the library of those that were kept. */
export function promptEditor(app, { system, change }) {
  const { t, store } = app;
  const text = h("textarea.input", { id: "system-prompt", rows: 3, placeholder: t("prompts.placeholder"), oninput: () => change(text.value) });
  const library = iconButton("more", t("prompts.library"), (event) => openMenu(event.currentTarget, rows()), { class: "tiny" });

  function rows() {
    const kept = store.library.of("prompt");
    return [
      ...kept.map((entry) => ({ label: entry.name, hint: entry.value.slice(0, 60), run: () => set(entry.value) })),
      ...(kept.length ? [null] : []),
      { label: t("prompts.keep"), icon: "plus", disabled: !text.value.trim(), run: keep },
      ...kept.filter((entry) => entry.value === text.value).map((entry) => ({ label: t("prompts.forget", { name: entry.name }), icon: "trash", danger: true, run: () => store.library.remove(entry.id) })),
    ];
  }

  function set(value) {
    text.value = value;
    change(value);
  }

  async function keep() {
    const name = await askText(t, { title: t("prompts.keep"), label: t("prompts.name"), value: text.value.slice(0, 40), confirm: t("common.save") });
    if (name?.trim()) await store.library.keep("prompt", name.trim(), text.value);
  }

  return {
    element: h("div.field", {}, h("div.parameter-head", {}, h("label", { for: "system-prompt" }, t("prompts.title")), library), text),
    update() {
      if (document.activeElement !== text) text.value = system() ?? "";
    },
  };
}
