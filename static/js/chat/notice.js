import { fill, h, icon } from "../dom.js";
import { hashOf } from "../router.js";

/** Words above the composer while the server cannot answer; what is typed stays. */
export function createNotice({ t, health }) {
  const element = h("div.notice", { role: "status", hidden: true });
  let last = "";
  const leave = health.subscribe(({ state }) => {
    if (state === last) return;
    last = state;
    const words = { gone: t("notice.gone"), unwell: t("notice.unwell"), empty: t("notice.empty") }[state];
    element.hidden = !words;
    if (!words) return;
    fill(element, icon("warning"), h("span", {}, words), state === "empty" && h("a.button.tiny", { href: hashOf("models") }, t("welcome.load")));
  });
  return { element, leave };
}
