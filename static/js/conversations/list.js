import { fill, h, icon, iconButton } from "../dom.js";
import { openMenu } from "../menu.js";
import { hashOf } from "../router.js";
import { groupByAge } from "./groups.js";
import { conversationMenu } from "./menu.js";
import { exportJson, importJson } from "./transfer.js";

/** Rows that are shown at first; scrolling to the end shows more. */
const PAGE = 120;

/**
 * The list of conversations in the sidebar.
 * @param {HTMLElement} slot @param {object} app
 * @returns {() => void} the way to leave.
 */
export function mountConversationList(slot, app) {
  const { t, store, shell } = app;
  const search = h("input.input.search", { type: "search", placeholder: t("conversations.search"), "aria-label": t("conversations.search"), oninput: find });
  const rows = h("div.conversation-rows", { onscroll: showMore });
  const fresh = h("a.button.new-chat", { href: hashOf("chat"), title: t("conversations.new"), onclick: begin }, icon("plus"), h("span", {}, t("conversations.new")));
  const tools = iconButton("more", t("conversations.more"), (event) => openListMenu(app, event.currentTarget), { class: "tiny" });
  let found = null;
  let most = PAGE;
  let asked = 0;
  fill(slot, fresh, h("div.search-row", {}, icon("search"), search, tools), rows);

  function begin(event) {
    event.preventDefault();
    if (location.hash === hashOf("chat")) dispatchEvent(new HashChangeEvent("hashchange"));
    else app.go("chat");
    shell.closeDrawer();
  }

  async function find() {
    const query = search.value.trim();
    const mine = (asked += 1);
    const next = query ? await store.conversations.search(query) : null;
    if (mine !== asked) return;
    found = next;
    show();
  }

  function show() {
    const all = store.conversations.list.value.filter((row) => !found || found.has(row.id));
    const groups = groupByAge(all.slice(0, most), Date.now());
    const top = rows.scrollTop;
    fill(
      rows,
      groups.map((group) => [h("h2.group-name", {}, t(`conversations.groups.${group.name}`)), h("ul", {}, group.rows.map((row) => entry(row)))]),
      !all.length && h("p.muted.small.none", {}, found ? t("conversations.none") : t("conversations.empty")),
    );
    rows.scrollTop = top;
  }

  function showMore() {
    const atEnd = rows.scrollHeight - rows.scrollTop - rows.clientHeight < 200;
    if (!atEnd || most >= store.conversations.list.value.length) return;
    most += PAGE;
    show();
  }

  function entry(row) {
    const isShown = shell.shownConversation.value === row.id;
    const name = row.title || t("conversations.untitled");
    return h(
      "li.conversation",
      {},
      h("a", { href: hashOf("chat", row.id), title: name, ...(isShown ? { "aria-current": "true" } : {}), onclick: shell.closeDrawer }, name),
      iconButton("more", t("conversations.actions", { title: name }), (event) => conversationMenu(app, row.id, event.currentTarget), { class: "tiny" }),
    );
  }

  const leaveList = store.conversations.list.subscribe(show);
  const leaveShown = shell.shownConversation.subscribe(show);
  const removeKeys = app.shortcuts.add([
    { keys: "Alt+N", words: "conversations.new", run: begin, whileTyping: true },
    { keys: "Mod+K", words: "conversations.search", run: () => (shell.openDrawer(), search.focus()), whileTyping: true },
  ]);
  return () => {
    leaveList();
    leaveShown();
    removeKeys();
  };
}

function openListMenu(app, anchor) {
  const { t, store } = app;
  openMenu(anchor, [
    { label: t("conversations.import"), icon: "import", run: () => importJson(app) },
    { label: t("conversations.exportAll"), icon: "export", run: () => exportJson(app, store.conversations.list.value.map(({ id }) => id)) },
  ]);
}
