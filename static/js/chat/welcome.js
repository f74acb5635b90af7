import { h } from "../dom.js";
import { hashOf } from "../router.js";

const SUGGESTIONS = ["explain", "write", "code", "plan"];

/** What an empty conversation shows: who is here, and ways to begin. */
export function welcome({ t, store, health }, onSuggestion) {
  const note = h("p.muted.small", {}, store.kept ? t("welcome.private") : t("welcome.memory"));
  const needsModel = health.value.state === "empty";
  return h(
    "div.welcome",
    {},
    h("img", { src: "favicon.svg", alt: "", width: 88, height: 88 }),
    h("h1", {}, t("welcome.title")),
    needsModel
      ? h("p", {}, h("a.button.primary", { href: hashOf("models") }, t("welcome.load")))
      : h("div.suggestions", {}, SUGGESTIONS.map((name) => suggestion(t(`welcome.suggestions.${name}`), onSuggestion))),
    note,
  );
}

const suggestion = (text, use) => h("button.suggestion", { type: "button", onclick: () => use(text) }, text);
