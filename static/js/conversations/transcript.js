/** Conversations as text and as JSON, and back. Pure. */

export const FORMAT = "obeaver-conversations";

/** @param {{ row: object, messages: object[] }[]} conversations @returns {string} */
export const toJson = (conversations) => JSON.stringify({ format: FORMAT, version: 1, conversations }, null, 2);

/**
 * Reads what `toJson` wrote. Ids are made anew, so that nothing that is there is overwritten.
 * @param {string} text @param {() => string} newId
 * @returns {{ row: object, messages: object[] }[]}
 * @throws {TypeError} where the text is nothing that was exported here.
 */
export function fromJson(text, newId) {
  const data = JSON.parse(text);
  if (data?.format !== FORMAT || !Array.isArray(data.conversations)) throw new TypeError("not an export");
  return data.conversations.map(({ row, messages }) => renewed(row, messages, newId));
}

function renewed(row, messages, newId) {
  const known = messages.filter(isMessage);
  const ids = new Map(known.map(({ id }) => [id, newId()]));
  const id = newId();
  return {
    row: {
      id,
      title: String(row.title ?? ""),
      named: Boolean(row.named),
      created: Number(row.created) || 0,
      updated: Number(row.updated) || 0,
      pinned: Boolean(row.pinned),
      head: ids.get(row.head) ?? null,
      draft: String(row.draft ?? ""),
      settings: row.settings && typeof row.settings === "object" ? row.settings : {},
    },
    messages: known.map((message) => ({ ...message, id: ids.get(message.id), parent: ids.get(message.parent) ?? null, conversation: id })),
  };
}

const isMessage = (message) => ["user", "assistant", "tool"].includes(message?.role) && typeof message.content === "string" && typeof message.id === "string";

/**
 * The shown branch as Markdown.
 * @param {string} title @param {object[]} path @param {(role: string) => string} nameOf
 */
export function toMarkdown(title, path, nameOf) {
  const turns = path.map((message) => `## ${nameOf(message.role)}\n\n${[...filesOf(message), message.content, ...callsOf(message)].filter(Boolean).join("\n\n")}`);
  return `${[`# ${title}`, ...turns].join("\n\n")}\n`;
}

const filesOf = ({ attachments = [] }) => attachments.map(({ name, text }) => `\`${name}\`\n\n${fenced(text)}`);
const callsOf = ({ toolCalls = [] }) => toolCalls.map(({ name, arguments: text }) => `\`${name}\`\n\n${fenced(text)}`);

function fenced(text) {
  const fence = "`".repeat(Math.max(3, ...(text.match(/`+/g) ?? []).map((run) => run.length + 1)));
  return `${fence}\n${text.replace(/\n$/, "")}\n${fence}`;
}
