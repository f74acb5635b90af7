import { createComposer } from "../chat/composer.js";
import { openConversation } from "../chat/conversation.js";
import { modelPicker } from "../chat/model_picker.js";
import { createNotice } from "../chat/notice.js";
import { createThread } from "../chat/thread.js";
import { welcome } from "../chat/welcome.js";
import { conversationMenu } from "../conversations/menu.js";
import { fill, h, iconButton } from "../dom.js";
import { createParameterPanel } from "../parameters/panel.js";
import { openSnippet } from "../parameters/snippet_dialog.js";

/** The chat. See main.js for the contract of a view. */
export function mount(root, app, args) {
  const { t } = app;
  let chat = null;
  let leaveChat = () => {};
  const acts = chatActs(app, () => chat);
  const thread = createThread(app, acts);
  const composer = createComposer(app, { ...acts, conversation: () => chat, editLast: () => thread.editLast() });
  const notice = createNotice(app);
  const panel = createParameterPanel(app, () => chat, () => openSnippet(app, chat, composer.text()));
  const title = h("h1.chat-title");
  const models = modelPicker(app, () => chat);
  const middle = h("div.chat-middle");
  const more = iconButton("more", t("chat.more"), (event) => conversationMenu(app, chat.row.id, event.currentTarget));
  const sliders = iconButton("sliders", t("parameters.title"), () => panel.toggle(), { "aria-expanded": "false" });
  root.append(
    h(
      "div.chat",
      {},
      h(
        "div.chat-main",
        {},
        h("header.chat-bar", {}, app.shell.menuButton(), models.element, title, h("div.row", {}, more, sliders)),
        middle,
        h("div.chat-foot", {}, notice.element, composer.element),
      ),
      panel.element,
    ),
  );
  const dropTarget = root.firstElementChild;
  dropTarget.addEventListener("dragover", (event) => event.preventDefault());
  dropTarget.addEventListener("drop", (event) => event.dataTransfer?.files.length && (event.preventDefault(), composer.attach(event.dataTransfer.files)));

  function show(what) {
    if (what === "answer") return thread.grow(chat.current()?.id);
    const isEmpty = chat.isEmpty;
    const wanted = isEmpty ? "welcome" : "thread";
    if (middle.dataset.shows !== wanted || isEmpty) {
      middle.dataset.shows = wanted;
      fill(middle, isEmpty ? welcome(app, suggest) : thread.element);
    }
    if (!isEmpty && what === "tree") thread.show(chat.tree.path());
    title.textContent = chat.row.title || t("nav.chat");
    title.classList.toggle("visually-hidden", !chat.row.title);
    more.hidden = isEmpty;
    composer.busy(chat.isBusy);
    models.update();
    if (what === "tree") panel.update();
    document.title = `${chat.row.title || t("nav.chat")} · obeaver`;
  }

  function suggest(text) {
    composer.write(text);
    composer.focus();
  }

  async function open(id) {
    leaveChat();
    const opened = await openConversation(app, id);
    if (!opened) return app.go("chat");
    chat = opened;
    letGo(app.session.open, chat);
    leaveChat = chat.watch((what) => {
      if (what === "tree" && !chat.isEmpty && location.hash.indexOf(chat.row.id) < 0 && chat.isBusy) adopt();
      show(what);
    });
    composer.write(id ? chat.row.draft : draftOf(app));
    show("tree");
    thread.jump();
    if (matchMedia("(pointer: fine)").matches) composer.focus();
  }

  /** The hash of a new conversation, once it has something; no new entry for the back button. */
  function adopt() {
    history.replaceState(null, "", `#/chat/${chat.row.id}`);
    app.shell.shownConversation.set(chat.row.id);
  }

  const removeKeys = app.shortcuts.add([
    { keys: "Escape", words: "keys.stop", run: () => chat?.stop(), whileTyping: true },
    { keys: "/", words: "keys.focus", run: () => composer.focus() },
    { keys: "Alt+M", words: "keys.model", run: () => models.open(), whileTyping: true },
    { keys: "Alt+P", words: "keys.parameters", run: () => panel.toggle(), whileTyping: true },
    { keys: "ArrowUp", words: "keys.editLast", run: () => thread.editLast() },
  ]);
  const leaveHealth = app.health.subscribe(({ state }) => {
    models.update();
    if (chat?.isEmpty && middle.dataset.state !== state) show("row");
    middle.dataset.state = state;
  });
  open(args[0] ?? null);

  return {
    navigate(next) {
      composer.flush();
      app.shell.shownConversation.set(next[0] ?? "");
      open(next[0] ?? null);
    },
    unmount() {
      composer.unmount();
      leaveChat();
      leaveHealth();
      removeKeys();
      thread.unmount();
      notice.leave();
      panel.leave();
    },
  };
}

/** Conversations that are neither shown nor being answered are found again in the store. */
function letGo(open, shown) {
  for (const [id, conversation] of open) if (conversation !== shown && !conversation.isBusy) open.delete(id);
}

const draftOf = ({ store }) => store.library.of("draft")[0]?.value ?? "";

/** What turns and the composer may do to the conversation. */
function chatActs(app, chat) {
  const free = (act) => (...args) => (chat().isBusy ? app.toast(app.t("chat.busy")) : act(...args));
  return {
    send: (text, files) => {
      chat().send(text, files);
      app.store.library.keep("draft", "new", "");
    },
    stop: () => chat()?.stop(),
    draft(text) {
      if (!chat()) return;
      if (chat().isEmpty) app.store.library.keep("draft", "new", text);
      else if (chat().row.draft !== text) chat().change({ draft: text });
    },
    edit: free((id, text) => chat().edit(id, text)),
    again: free((id) => chat().again(id)),
    goOn: free((id) => chat().goOn(id)),
    giveResults: free((id, results) => chat().giveResults(id, results)),
    step: free((id, delta) => chat().step(id, delta)),
    place: (id) => chat().tree.place(id),
    resultsOf: (id) => toolResults(chat().tree, id),
    showCode: (id) => openSnippet(app, chat(), "", id),
  };
}

/** The results that the shown branch has for an answer's calls. */
function toolResults(tree, id) {
  const path = tree.path();
  const at = path.findIndex((message) => message.id === id) + 1;
  const end = path.findIndex((message, index) => index >= at && message.role !== "tool");
  return path.slice(at, end < 0 ? undefined : end);
}
