import { h, iconButton } from "./dom.js";

/**
 * Short words at the foot of the page, with one way to act on them.
 * @param {import("./i18n.js").Translate} t
 * @returns {(words: string, options?: { action?: string, onAction?: () => void, seconds?: number }) => void}
 */
export function createToasts(t) {
  const host = h("div.toasts", { role: "status", "aria-live": "polite" });
  document.body.append(host);
  return (words, { action, onAction, seconds = 6 } = {}) => {
    const toast = h("div.toast", {}, h("span", {}, words));
    const leave = () => toast.remove();
    if (action) {
      toast.append(h("button.button.tiny", { type: "button", onclick: () => (onAction?.(), leave()) }, action));
    }
    toast.append(iconButton("close", t("common.close"), leave, { class: "tiny" }));
    host.append(toast);
    let timer = setTimeout(leave, seconds * 1000);
    toast.addEventListener("pointerenter", () => clearTimeout(timer));
    toast.addEventListener("focusin", () => clearTimeout(timer));
    toast.addEventListener("pointerleave", () => (timer = setTimeout(leave, 2000)));
  };
}
