import { fill, h, icon, iconButton } from "../dom.js";
import { copyText } from "../markdown/code_block.js";
import { createMarkdown } from "../markdown/document.js";
import { jsonTree } from "../markdown/json_tree.js";
import { canContinue } from "./continuation.js";
import { figuresLine } from "./figures.js";
import { toolCards } from "./tool_card.js";

/**
 * One message on the screen. It shows its text plainly until it comes near the view, and is rendered then.
 * @param {object} message
 * @param {object} app
 * @param {import("./thread.js").Acts} acts
 */
export function createTurn(message, app, acts) {
  const element = h(`article.turn.${message.role}`, { "aria-label": app.t(`chat.roles.${message.role}`), dataset: { id: message.id } });
  const turn = message.role === "user" ? userTurn(element, message, app, acts) : answerTurn(element, message, app, acts);
  fill(element, h("div.plain-text.unrendered", {}, message.content));
  let isRendered = false;
  return {
    element,
    message,
    /** Shows the message as it is now; a turn that was never near the view stays plain. */
    update() {
      if (isRendered) turn.update();
    },
    render() {
      if (isRendered) return;
      isRendered = true;
      turn.begin();
      turn.update();
    },
    get isRendered() {
      return isRendered;
    },
    grow: () => turn.grow?.(),
    edit: () => turn.edit?.(),
    leave: () => turn.leave?.(),
  };
}

function userTurn(element, message, app, acts) {
  const { t } = app;
  const bubble = h("div.bubble");
  const foot = h("footer.turn-foot");

  function edit() {
    const input = h("textarea.input", { value: message.content, "aria-label": t("chat.edit"), rows: Math.min(12, message.content.split("\n").length + 1) });
    const send = () => input.value.trim() && acts.edit(message.id, input.value);
    const keys = (event) => {
      if (event.isComposing) return;
      if (event.key === "Escape") (event.stopPropagation(), show());
      if (event.key === "Enter" && !event.shiftKey) (event.preventDefault(), send());
    };
    input.addEventListener("keydown", keys);
    fill(
      bubble,
      input,
      h("div.row", {}, h("button.button.plain", { type: "button", onclick: show }, t("common.cancel")), h("button.button.primary", { type: "button", onclick: send }, t("chat.send"))),
    );
    bubble.classList.add("editing");
    input.focus();
  }

  function show() {
    bubble.classList.remove("editing");
    const files = (message.attachments ?? []).map(({ name, text }) =>
      h("details.attached", {}, h("summary", {}, icon("file"), name), h("pre.plain-text", {}, text)),
    );
    fill(bubble, files, message.content && h("div.plain-text", {}, message.content));
  }

  return {
    begin: () => fill(element, bubble, foot),
    edit,
    update() {
      show();
      fill(
        foot,
        stepper(message, app, acts),
        iconButton("edit", t("chat.edit"), edit, { class: "tiny" }),
        copyButton(() => message.content, t),
      );
    },
  };
}

function answerTurn(element, message, app, acts) {
  const { t } = app;
  const thoughts = h("div");
  const body = h("div.answer");
  const after = h("div.turn-after");
  const foot = h("footer.turn-foot");
  let markdown = null;
  let thinking = null;

  function showThoughts() {
    if (!message.reasoning) return;
    thinking ??= reasoningFold(thoughts, t);
    thinking.show(message, app);
  }

  function showText() {
    const value = message.state === "streaming" ? undefined : jsonOf(message);
    if (value !== undefined) return showJson(value);
    if (!markdown) {
      body.replaceChildren();
      markdown = createMarkdown(body, t);
    }
    if (message.state === "streaming") markdown.grow(message.content);
    else markdown.finish(message.content);
  }

  function showJson(value) {
    markdown?.stop();
    markdown = null;
    body.classList.remove("markdown");
    fill(body, jsonTree(value), h("details.raw", {}, h("summary", {}, t("chat.asText")), h("pre.plain-text", { tabindex: "0" }, message.content)));
  }

  return {
    begin: () => fill(element, thoughts, body, after, foot),
    leave: () => markdown?.stop(),
    grow() {
      showThoughts();
      element.classList.toggle("waiting", !message.content && !message.reasoning && !message.toolCalls?.length);
      if (message.content) showText();
    },
    update() {
      element.classList.toggle("waiting", message.state === "streaming" && !message.content && !message.reasoning);
      element.setAttribute("aria-busy", String(message.state === "streaming"));
      showThoughts();
      if (message.content || message.state !== "streaming") showText();
      fill(
        after,
        message.toolCalls?.length ? toolCards(message, acts.resultsOf(message.id), app, (results) => acts.giveResults(message.id, results)) : null,
        message.error && errorBox(message, app, acts),
      );
      fill(foot, message.state !== "streaming" && [figuresLine(message, app), h("div.turn-actions", {}, actions())]);
    },
  };

  function actions() {
    return [
      stepper(message, app, acts),
      copyButton(() => message.content, t),
      iconButton("again", t("chat.again"), () => acts.again(message.id), { class: "tiny" }),
      canContinue(message) && iconButton("forward", t("chat.goOn"), () => acts.goOn(message.id), { class: "tiny" }),
      iconButton("code", t("chat.asCode"), () => acts.showCode(message.id), { class: "tiny" }),
    ];
  }
}

/** An answer in JSON is shown as a tree where it was asked for as such. */
function jsonOf({ content, settings }) {
  if (!/^json/.test(settings?.form?.kind ?? "") || !/^\s*[{[]/.test(content)) return undefined;
  try {
    return JSON.parse(content);
  } catch {
    return undefined;
  }
}

function reasoningFold(host, t) {
  const words = h("span");
  const text = document.createTextNode("");
  const fold = h("details.reasoning", {}, h("summary", {}, icon("thought"), words, icon("right")), h("div.plain-text", {}, text));
  host.append(fold);
  return {
    show({ reasoning, content, state, figures }, { format }) {
      const isThinking = state === "streaming" && !content;
      words.textContent = isThinking ? t("chat.thinking") : t("chat.thought", { time: format.seconds(figures?.reasoningSeconds ?? 0) });
      if (reasoning.startsWith(text.data)) text.appendData(reasoning.slice(text.length));
      else text.data = reasoning;
    },
  };
}

function errorBox(message, { t }, acts) {
  const { error } = message;
  const words = error.code === "unreachable" ? t("chat.lost") : error.message;
  return h(
    "div.error-box",
    { role: "alert" },
    icon("warning"),
    h("div", {}, h("p.plain-text", {}, words), error.param && h("p.small", {}, h("code", {}, error.param))),
    h("button.button.tiny", { type: "button", onclick: () => acts.again(message.id) }, t("chat.retry")),
  );
}

function stepper(message, { t }, acts) {
  const { index, count } = acts.place(message.id);
  if (count < 2) return null;
  return h(
    "div.stepper.numbers",
    { role: "group", "aria-label": t("chat.branches") },
    iconButton("left", t("chat.before"), () => acts.step(message.id, -1), { class: "tiny", disabled: index === 0 }),
    h("span", {}, `${index + 1}/${count}`),
    iconButton("right", t("chat.next"), () => acts.step(message.id, 1), { class: "tiny", disabled: index === count - 1 }),
  );
}

function copyButton(text, t) {
  const button = iconButton("copy", t("common.copy"), copy, { class: "tiny" });
  return button;

  async function copy() {
    await copyText(text());
    fill(button, icon("check"));
    setTimeout(() => fill(button, icon("copy")), 1600);
  }
}
