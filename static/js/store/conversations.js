import { newId } from "../ids.js";
import { signal } from "../signal.js";

/**
 * Conversations in the browser. `list` is a signal of their rows without messages, newest first.
 *
 * @typedef {{ id: string, title: string, named: boolean, created: number, updated: number, pinned: boolean, head: string | null,
 *   draft: string, settings: object }} Conversation `named` says that a person gave the title.
 * @param {import("./database.js").Database} database
 */
export async function openConversations(database) {
  const list = signal(ordered(await database.all("conversations")));
  const set = (rows) => list.set(ordered(rows));
  const without = (id) => list.value.filter((row) => row.id !== id);

  return {
    list,
    /** @returns {Conversation | undefined} */
    get: (id) => list.value.find((row) => row.id === id),
    /** @returns {Promise<object[]>} */
    messages: (id) => database.by("messages", "conversation", id),
    /** Adds or changes a conversation. @param {Conversation} row */
    async save(row) {
      set([...without(row.id), { ...row }]);
      await database.put("conversations", row);
    },
    /** @param {...object} messages */
    saveMessages: (...messages) => database.put("messages", ...messages),
    /** Deletes; what it gives brings all back. @returns {Promise<() => Promise<void>>} */
    async remove(id) {
      const row = list.value.find((candidate) => candidate.id === id);
      const messages = await database.by("messages", "conversation", id);
      set(without(id));
      await database.remove("conversations", id);
      await database.remove("messages", ...messages.map((message) => message.id));
      return async () => {
        await database.put("messages", ...messages);
        await this.save(row);
      };
    },
    /** Ids of conversations in which every word stands, in the title or in a message. @returns {Promise<Set<string>>} */
    async search(query) {
      const words = query.toLowerCase().split(/\s+/).filter(Boolean);
      const texts = new Map(list.value.map((row) => [row.id, [row.title]]));
      for (const message of await database.all("messages")) texts.get(message.conversation)?.push(message.content, ...attached(message));
      const holds = (parts) => words.every((word) => parts.some((part) => part.toLowerCase().includes(word)));
      return new Set([...texts].filter(([, parts]) => holds(parts)).map(([id]) => id));
    },
  };
}

const attached = ({ attachments = [] }) => attachments.map(({ name }) => name);

const ordered = (rows) => [...rows].sort((a, b) => b.updated - a.updated);

/** @returns {Conversation} */
export function newConversation(settings = {}, now = Date.now()) {
  return { id: newId(), title: "", named: false, created: now, updated: now, pinned: false, head: null, draft: "", settings };
}
