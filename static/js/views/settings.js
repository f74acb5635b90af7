import { h, icon } from "../dom.js";
import { openShortcutList } from "../shell/shortcut_list.js";
import { keyLabels } from "../shortcuts.js";

const THEMES = [["system", "auto"], ["light", "sun"], ["dark", "moon"]];
const LANGUAGES = [["en", "English"], ["zh", "中文"]];

/** The page's own looks. See main.js for the contract of a view. */
export function mount(root, app) {
  const { t, settings, shell, store } = app;
  const themes = segments(t("settings.theme"), THEMES.map(([theme, iconName]) => ({
    label: [icon(iconName), t(`settings.themes.${theme}`)],
    isOn: () => settings.value.theme === theme,
    choose: () => settings.change({ theme }),
  })));
  const languages = segments(t("settings.language"), LANGUAGES.map(([language, name]) => ({
    label: [name],
    isOn: () => t.language === language,
    choose: () => settings.change({ language }),
  })));
  const keys = segments(t("settings.sendWith"), ["enter", "mod"].map((sendWith) => ({
    label: [sendWith === "enter" ? h("kbd", {}, "Enter") : keyLabels("Mod+Enter").map((label) => h("kbd", {}, label))],
    isOn: () => settings.value.sendWith === sendWith,
    choose: () => settings.change({ sendWith }),
  })));
  const leave = settings.subscribe(() => [themes, languages, keys].forEach(({ update }) => update()));
  root.append(
    h(
      "section.page",
      {},
      h("header", {}, shell.menuButton(), h("h1", {}, t("nav.settings"))),
      h("div.setting-rows", {}, themes.element, languages.element, keys.element),
      h("div.about", {}, h("p", {}, store.kept ? t("settings.kept") : t("welcome.memory")), h("p", {}, h("a", { href: "/docs" }, t("settings.docs")), " · ", shortcutsLink(app))),
    ),
  );
  return { unmount: leave };
}

const shortcutsLink = (app) => h("button.button.plain.tiny", { type: "button", onclick: () => openShortcutList(app) }, icon("keyboard"), app.t("keys.title"));

function segments(label, options) {
  const buttons = options.map((option) => h("button.button", { type: "button", onclick: option.choose }, option.label));
  return {
    element: h("div.setting", { role: "group", "aria-label": label }, h("span.label", {}, label), h("div.segments", {}, buttons)),
    update: () => buttons.forEach((button, at) => button.setAttribute("aria-pressed", String(options[at].isOn()))),
  };
}
