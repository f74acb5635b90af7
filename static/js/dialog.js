import { fill, h, iconButton } from "./dom.js";

/**
 * A modal dialog; Esc and a click beside it close it.
 * @param {{ title: string, body: unknown, actions?: Node[], wide?: boolean, closeWords: string, onClose?: () => void }} parts
 * @returns {{ element: HTMLDialogElement, close(): void }}
 */
export function openDialog({ title, body, actions = [], wide = false, closeWords, onClose }) {
  const close = () => element.close();
  const id = `dialog-${(count += 1)}`;
  const element = h(
    "dialog.dialog",
    { class: wide ? "wide" : "", "aria-labelledby": id },
    h("header", {}, h("h2", { id }, title), iconButton("close", closeWords, close)),
    h("div.body", {}, body),
    actions.length > 0 && h("footer", {}, actions),
  );
  element.addEventListener("click", (event) => event.target === element && isOutside(event, element) && close());
  element.addEventListener("close", () => {
    element.remove();
    onClose?.();
  });
  document.body.append(element);
  element.showModal();
  return { element, close };
}

let count = 0;

function isOutside({ clientX, clientY }, element) {
  const box = element.getBoundingClientRect();
  return clientX < box.left || clientX > box.right || clientY < box.top || clientY > box.bottom;
}

/**
 * Asks for one line of text.
 * @param {import("./i18n.js").Translate} t
 * @param {{ title: string, label: string, value?: string, confirm: string, type?: string, fault?: string }} parts
 * @returns {Promise<string | null>} null where the person closed the dialog.
 */
export function askText(t, { title, label, value = "", confirm, type = "text", fault = "" }) {
  return new Promise((resolve) => {
    let answer = null;
    const input = h("input.input", { type, value, id: "ask-text", autocomplete: "off", spellcheck: "false" });
    const form = h(
      "form.field",
      { id: "ask-form", onsubmit: (event) => (event.preventDefault(), (answer = input.value), dialog.close()) },
      h("label", { for: "ask-text" }, label),
      input,
      fault && h("p.fault", { role: "alert" }, fault),
    );
    const dialog = openDialog({
      title,
      body: form,
      closeWords: t("common.close"),
      actions: [
        h("button.button", { type: "button", onclick: () => dialog.close() }, t("common.cancel")),
        h("button.button.primary", { type: "submit", form: "ask-form" }, confirm),
      ],
      onClose: () => resolve(answer),
    });
    input.focus();
    input.select();
  });
}

/** Replaces a dialog's body. @param {{ element: HTMLElement }} dialog @param {...unknown} children */
export function refill(dialog, ...children) {
  fill(dialog.element.querySelector(".body"), ...children);
}
