import assert from "node:assert/strict";
import test from "node:test";
import { titleOf } from "../../static/js/chat/conversation.js";
import { groupByAge } from "../../static/js/conversations/groups.js";
import { fromJson, toJson, toMarkdown } from "../../static/js/conversations/transcript.js";
import { openConversations, newConversation } from "../../static/js/store/conversations.js";
import { memoryDatabase, openDatabase } from "../../static/js/store/database.js";
import { openLibrary } from "../../static/js/store/library.js";

const counter = () => {
  let at = 0;
  return () => `new${(at += 1)}`;
};

const messages = [
  { id: "a", conversation: "c", parent: null, role: "user", content: "Hi", created: 1, attachments: [{ name: "x.md", text: "```\n" }] },
  { id: "b", conversation: "c", parent: "a", role: "assistant", content: "Hello", created: 2 },
];
const row = { ...newConversation({ system: "s" }, 5), id: "c", title: "T", head: "b" };

test("what was exported is imported with new ids and the same tree", () => {
  const [back] = fromJson(toJson([{ row, messages }]), counter());
  assert.notEqual(back.row.id, "c");
  assert.deepEqual(back.messages.map(({ parent }) => parent), [null, back.messages[0].id]);
  assert.equal(back.row.head, back.messages[1].id);
  assert.deepEqual([back.row.title, back.row.settings], ["T", { system: "s" }]);
  assert.ok(back.messages.every(({ conversation }) => conversation === back.row.id));
});

test("what is no export is refused, and strange messages are left out", () => {
  for (const text of ["", "{}", "[]", '{"format":"x"}']) assert.throws(() => fromJson(text, counter()));
  const strange = toJson([{ row: {}, messages: [{ id: "x", role: "system", content: "s" }, { id: "y", role: "user", content: 3 }, messages[0]] }]);
  assert.equal(fromJson(strange, counter())[0].messages.length, 1);
});

test("Markdown has a heading a turn and files in fences that they cannot close", () => {
  assert.equal(toMarkdown("T", messages, (role) => role.toUpperCase()), "# T\n\n## USER\n\n`x.md`\n\n````\n```\n````\n\nHi\n\n## ASSISTANT\n\nHello\n");
});

test("conversations are grouped by age, pinned ones first", () => {
  const now = new Date(2026, 5, 15, 12).getTime();
  const ago = (hours, pinned = false) => ({ pinned, updated: now - hours * 3_600_000 });
  const names = groupByAge([ago(1), ago(20), ago(80), ago(500), ago(900, true)], now).map(({ name, rows }) => [name, rows.length]);
  assert.deepEqual(names, [["pinned", 1], ["today", 1], ["yesterday", 1], ["week", 1], ["older", 1]]);
});

test("a title is the beginning of what was asked", () => {
  assert.equal(titleOf({ content: "  Why\nis  it? " }), "Why is it?");
  assert.ok(titleOf({ content: "word ".repeat(40) }).length <= 62);
  assert.equal(titleOf({ content: "", attachments: [{ name: "a.py" }] }), "a.py");
});

test("without a database of the browser's, all works in memory and says so", async () => {
  const database = await openDatabase(undefined);
  assert.equal(database.kept, false);
});

test("conversations are saved, searched, deleted and brought back", async () => {
  const conversations = await openConversations(memoryDatabase());
  await conversations.saveMessages(...messages);
  await conversations.save(row);
  assert.deepEqual([...(await conversations.search("hello"))], ["c"]);
  assert.deepEqual([...(await conversations.search("x.md t"))], ["c"]);
  assert.equal((await conversations.search("nothing")).size, 0);
  const undo = await conversations.remove("c");
  assert.deepEqual([conversations.list.value.length, (await conversations.messages("c")).length], [0, 0]);
  await undo();
  assert.deepEqual([conversations.get("c").title, (await conversations.messages("c")).length], ["T", 2]);
});

test("the library keeps one entry a name", async () => {
  const library = await openLibrary(memoryDatabase());
  await library.keep("preset", "Mine", { top_k: 1 });
  const { id } = await library.keep("preset", "Mine", { top_k: 2 });
  await library.keep("prompt", "Mine", "x");
  assert.deepEqual(library.of("preset").map(({ value }) => value), [{ top_k: 2 }]);
  await library.remove(id);
  assert.equal(library.of("preset").length, 0);
});
