import { askText } from "../dialog.js";
import { openMenu } from "../menu.js";
import { exportJson, exportMarkdown } from "./transfer.js";

/** What can be done to a conversation. */
export function conversationMenu(app, id, anchor) {
  const { t, store } = app;
  const row = store.conversations.get(id);
  if (!row) return;
  openMenu(anchor, [
    { label: t("conversations.rename"), icon: "edit", run: () => rename(app, id) },
    { label: row.pinned ? t("conversations.unpin") : t("conversations.pin"), icon: "pin", run: () => change(app, id, { pinned: !row.pinned }) },
    { label: t("conversations.exportMarkdown"), icon: "export", run: () => exportMarkdown(app, id) },
    { label: t("conversations.exportJson"), icon: "export", run: () => exportJson(app, [id]) },
    null,
    { label: t("conversations.delete"), icon: "trash", danger: true, run: () => remove(app, id) },
  ]);
}

async function rename(app, id) {
  const { t, store } = app;
  const title = await askText(t, { title: t("conversations.rename"), label: t("conversations.name"), value: store.conversations.get(id).title, confirm: t("common.save") });
  if (title?.trim()) change(app, id, { title: title.trim(), named: true });
}

/** Changes the open conversation where it is open, so that both agree. */
function change(app, id, part) {
  const open = app.session.open?.get(id);
  if (open) open.change(part);
  else app.store.conversations.save({ ...app.store.conversations.get(id), ...part });
}

async function remove(app, id) {
  const { t, store } = app;
  const open = app.session.open?.get(id);
  open?.stop();
  await open?.settled();
  open?.forget();
  app.session.open?.delete(id);
  const undo = await store.conversations.remove(id);
  if (location.hash.includes(id)) app.go("chat");
  app.toast(t("conversations.deleted"), { action: t("common.undo"), onAction: undo, seconds: 10 });
}
