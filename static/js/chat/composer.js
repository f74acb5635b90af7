import { h, iconButton } from "../dom.js";
import { createAttachments } from "./attachments.js";
import { createTokenCount } from "./token_count.js";

const DRAFT_AFTER_MS = 400;

/**
 * The place to write in.
 * @param {object} app
 * @param {{ send(text: string, files: object[]): void, stop(): void, draft(text: string): void, conversation(): object, editLast(): void }} acts
 */
export function createComposer(app, acts) {
  const { t, settings } = app;
  let isBusy = false;
  let timer = 0;
  const input = h("textarea.composer-input", { rows: 1, placeholder: t("composer.placeholder"), "aria-label": t("composer.label"), enterkeyhint: "send" });
  const attachments = createAttachments(app, () => refresh());
  const tokens = createTokenCount(app, acts.conversation);
  const picker = h("input", { type: "file", multiple: true, hidden: true, "aria-hidden": "true", tabindex: "-1" });
  const send = iconButton("send", t("composer.send"), () => (isBusy ? acts.stop() : submit()), { class: "primary send", disabled: true });
  const stop = iconButton("stop", t("composer.stop"), acts.stop, { class: "primary send", hidden: true });
  const element = h(
    "form.composer",
    { onsubmit: (event) => (event.preventDefault(), submit()) },
    attachments.element,
    input,
    h("div.composer-row", {}, iconButton("attach", t("composer.attach"), () => picker.click()), picker, tokens.element, send, stop),
  );

  function submit() {
    const text = input.value.trim();
    if (isBusy || (!text && !attachments.files.length)) return;
    acts.send(text, attachments.files);
    input.value = "";
    attachments.clear();
    changed();
  }

  function changed() {
    clearTimeout(timer);
    timer = setTimeout(() => acts.draft(input.value), DRAFT_AFTER_MS);
    refresh();
  }

  function refresh() {
    input.style.height = "auto";
    input.style.height = `${input.scrollHeight}px`;
    send.disabled = !input.value.trim() && !attachments.files.length;
    tokens.refresh(input.value, attachments.files);
  }

  function onKey(event) {
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key === "ArrowUp" && !input.value) return event.preventDefault(), acts.editLast();
    if (event.key !== "Enter" || event.shiftKey) return;
    const withMod = event.ctrlKey || event.metaKey;
    if (settings.value.sendWith === "enter" || withMod) {
      event.preventDefault();
      submit();
    }
  }

  input.addEventListener("keydown", onKey);
  input.addEventListener("input", changed);
  input.addEventListener("paste", (event) => takeFiles(event, event.clipboardData));
  picker.addEventListener("change", () => {
    attachments.add(picker.files);
    picker.value = "";
  });
  element.addEventListener("dragover", (event) => event.preventDefault());
  element.addEventListener("drop", (event) => takeFiles(event, event.dataTransfer));

  function takeFiles(event, data) {
    if (!data?.files.length) return;
    event.preventDefault();
    attachments.add(data.files);
  }

  return {
    element,
    focus: () => input.focus(),
    /** Files that were dropped elsewhere on the chat. */
    attach: attachments.add,
    /** Puts a text in, as a draft that is found again or a suggestion. */
    write(text) {
      input.value = text;
      refresh();
    },
    text: () => input.value,
    busy(value) {
      isBusy = value;
      send.hidden = value;
      stop.hidden = !value;
      refresh();
    },
    /** Keeps the draft now. */
    flush() {
      clearTimeout(timer);
      acts.draft(input.value);
    },
    unmount() {
      clearTimeout(timer);
      acts.draft(input.value);
      tokens.leave();
    },
  };
}
