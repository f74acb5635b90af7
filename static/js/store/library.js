import { newId } from "../ids.js";
import { signal } from "../signal.js";

/**
 * What a person keeps beside conversations: presets of parameters and system prompts.
 * @typedef {{ id: string, kind: "preset" | "prompt", name: string, value: any }} Entry
 * @param {import("./database.js").Database} database
 */
export async function openLibrary(database) {
  const entries = signal(await database.all("library"));
  return {
    entries,
    /** @param {"preset" | "prompt"} kind @returns {Entry[]} */
    of: (kind) => entries.value.filter((entry) => entry.kind === kind).sort((a, b) => a.name.localeCompare(b.name)),
    /** Keeps a value under a name, in place of one that has the name already. */
    async keep(kind, name, value) {
      const same = entries.value.find((entry) => entry.kind === kind && entry.name === name);
      const entry = { id: same?.id ?? newId(), kind, name, value };
      await database.put("library", entry);
      entries.set([...entries.value.filter(({ id }) => id !== entry.id), entry]);
      return entry;
    },
    async remove(id) {
      await database.remove("library", id);
      entries.set(entries.value.filter((entry) => entry.id !== id));
    },
  };
}
