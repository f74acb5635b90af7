import { createTree } from "../chat/tree.js";
import { h } from "../dom.js";
import { newId } from "../ids.js";
import { saveFile } from "../save_file.js";
import { fromJson, toJson, toMarkdown } from "./transcript.js";

/** Saves conversations as a file. @param {object} app @param {string[]} ids */
export async function exportJson({ store }, ids) {
  const all = await Promise.all(ids.map(async (id) => ({ row: store.conversations.get(id), messages: await store.conversations.messages(id) })));
  const name = ids.length === 1 ? fileName(all[0].row.title) : "obeaver-conversations";
  saveFile(`${name}.json`, toJson(all), "application/json");
}

/** Saves the shown branch of a conversation. */
export async function exportMarkdown({ store, t }, id) {
  const row = store.conversations.get(id);
  const path = createTree(await store.conversations.messages(id), row.head).path();
  saveFile(`${fileName(row.title)}.md`, toMarkdown(row.title, path, (role) => t(`chat.roles.${role}`)), "text/markdown");
}

/** Asks for a file and takes in what is in it. */
export function importJson(app) {
  const picker = h("input", { type: "file", accept: ".json,application/json", hidden: true });
  picker.addEventListener("change", async () => {
    await takeIn(app, await picker.files[0].text());
    picker.remove();
  });
  document.body.append(picker);
  picker.click();
}

async function takeIn({ store, t, toast }, text) {
  let conversations;
  try {
    conversations = fromJson(text, newId);
  } catch {
    return toast(t("conversations.importFault"));
  }
  for (const { row, messages } of conversations) {
    await store.conversations.saveMessages(...messages);
    await store.conversations.save(row);
  }
  toast(t("conversations.imported", { count: conversations.length }));
}

const fileName = (title) => title.replace(/[^\p{L}\p{N} _-]/gu, "").trim().replace(/\s+/g, "-").slice(0, 60) || "conversation";
