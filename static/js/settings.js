import { signal } from "./signal.js";

const KEY = "obeaver.settings";

/** What this browser remembers of the page's looks; conversations are elsewhere, keys nowhere. */
const DEFAULTS = { theme: "system", language: "", sidebar: "wide", sendWith: "enter", parametersOpen: false };

/**
 * @typedef {typeof DEFAULTS} SettingValues
 * @returns {import("./signal.js").Signal<SettingValues> & { change(part: Partial<SettingValues>): void }}
 */
export function createSettings(storage = safeStorage()) {
  const state = signal({ ...DEFAULTS, ...read(storage) });
  return Object.assign(state, {
    change(part) {
      const next = { ...state.value, ...part };
      storage?.setItem(KEY, JSON.stringify(next));
      state.set(next);
    },
  });
}

/** Shows the theme on the document. @param {SettingValues} values */
export function applyTheme({ theme, sidebar }) {
  document.documentElement.dataset.theme = theme;
  document.documentElement.dataset.sidebar = sidebar;
}

/** The language of the page: the chosen one, or the browser's if the page speaks it. @returns {"en" | "zh"} */
export function pageLanguage({ language }, preferred = navigator.languages ?? []) {
  const wanted = [language, ...preferred].map((tag) => String(tag).slice(0, 2).toLowerCase());
  return wanted.find((tag) => tag === "en" || tag === "zh") ?? "en";
}

function read(storage) {
  try {
    const saved = JSON.parse(storage?.getItem(KEY) ?? "{}");
    return Object.fromEntries(Object.entries(saved).filter(([name, value]) => typeof value === typeof DEFAULTS[name]));
  } catch {
    return {};
  }
}

function safeStorage() {
  try {
    localStorage.getItem(KEY);
    return localStorage;
  } catch {
    return null;
  }
}
