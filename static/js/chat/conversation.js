import { isAbort } from "../api.js";
import { newId, newSeed } from "../ids.js";
import { newConversation } from "../store/conversations.js";
import { createAnswer } from "./answer.js";
import { streamContinuation } from "./continuation.js";
import { buildRequest } from "./request.js";
import { createTree } from "./tree.js";

const SAVE_EVERY_MS = 1000;
const TITLE_LENGTH = 60;

/**
 * A conversation that is open in this tab. It lives on while an answer is made, whichever view is shown.
 *
 * Watchers get "tree" when other messages are shown, "answer" when the answer that is being made has grown, "row" when title,
 * draft or settings have changed.
 * @param {object} app See main.js.
 * @param {string | null} id null begins a new conversation, which is kept once something was said in it.
 */
export async function openConversation(app, id) {
  const open = (app.session.open ??= new Map());
  if (id && open.has(id)) return open.get(id);
  const row = id ? structuredClone(app.store.conversations.get(id)) : newConversation(inherited(app.store));
  if (!row) return null;
  const messages = id ? await app.store.conversations.messages(id) : [];
  for (const message of messages) if (message.state === "streaming") message.state = "stopped";
  const conversation = createConversation(app, row, createTree(messages, row.head));
  open.set(row.id, conversation);
  return conversation;
}

/** A new conversation has the parameters and the system prompt of the last one, but neither its tools nor its form. */
function inherited({ conversations }) {
  const { system, parameters, model } = conversations.list.value[0]?.settings ?? {};
  return structuredClone({ system, parameters, model });
}

function createConversation(app, row, tree) {
  const { store, api } = app;
  const watchers = new Set();
  const tell = (what) => [...watchers].forEach((watcher) => watcher(what));
  let running = null;
  let isKept = Boolean(store.conversations.get(row.id));

  const save = async () => {
    row.head = tree.head;
    if (isKept) await store.conversations.save(row);
  };

  function add(role, parent, more) {
    const message = { id: newId(), conversation: row.id, parent, role, content: "", created: Date.now(), ...more };
    tree.add(message);
    isKept = true;
    row.updated = message.created;
    if (!row.title) row.title = titleOf(message);
    save();
    store.conversations.saveMessages(message);
    return message;
  }

  /** Asks for an answer behind a message, and shows it as it comes. */
  async function ask(parent) {
    const settings = structuredClone(row.settings);
    const parameters = { ...settings.parameters };
    parameters.seed ??= newSeed();
    const message = add("assistant", parent, { state: "streaming", settings: { ...settings, parameters }, figures: { seed: parameters.seed } });
    const body = buildRequest(tree.path(parent), { ...settings, parameters });
    await follow(message, (signal) => api.stream("/v1/chat/completions", body, { signal }));
  }

  /** Runs a stream into a message, until its end, its failure or a stop. */
  async function follow(message, begin) {
    const control = new AbortController();
    let end;
    running = { control, message, ended: new Promise((resolve) => (end = resolve)) };
    message.state = "streaming";
    delete message.error;
    tell("tree");
    app.announce(app.t("chat.begun"));
    let saved = performance.now();
    try {
      const answer = createAnswer(message, performance.now());
      for await (const chunk of begin(control.signal)) {
        const now = performance.now();
        answer.add(chunk, now);
        tell("answer");
        if (now - saved > SAVE_EVERY_MS) {
          saved = now;
          store.conversations.saveMessages(message);
        }
      }
      message.state = "done";
    } catch (error) {
      const stopped = isAbort(error);
      message.state = stopped ? "stopped" : "failed";
      if (!stopped) message.error = { message: error.message, code: error.code ?? "", param: error.param ?? null };
    }
    running = null;
    row.updated = Date.now();
    await Promise.all([store.conversations.saveMessages(message), save()]);
    app.announce(app.t(`chat.ended.${message.state}`));
    tell("tree");
    end();
    if (message.state === "stopped") await countSaid(message);
  }

  /** A stream that was stopped never said how many tokens it had: the server counts them in the text. */
  async function countSaid(message) {
    if (!message.content || message.reasoning) return;
    const { model } = message.settings ?? {};
    try {
      const { count } = await api.post("/v1/tokenize", { ...(model ? { model } : {}), prompt: message.content, add_special_tokens: false });
      if (message.state === "stopped") message.figures.answer = count;
    } catch {
      return;
    }
    await store.conversations.saveMessages(message);
    tell("tree");
  }

  return {
    row,
    tree,
    get isBusy() {
      return running !== null;
    },
    get isEmpty() {
      return tree.size === 0;
    },
    /** @param {(what: "tree" | "answer" | "row") => void} watcher @returns {() => void} */
    watch(watcher) {
      watchers.add(watcher);
      return () => watchers.delete(watcher);
    },
    /** The answer that is being made. */
    current: () => running?.message ?? null,
    send(content, attachments = []) {
      const message = add("user", tree.head, { content, ...(attachments.length ? { attachments } : {}) });
      row.draft = "";
      return ask(message.id);
    },
    /** Another answer beside this one. */
    again: (id) => ask(tree.get(id).parent),
    /** Another question beside this one, with an answer. */
    edit(id, content) {
      const { parent, attachments } = tree.get(id);
      const message = add("user", parent, { content, ...(attachments ? { attachments } : {}) });
      return ask(message.id);
    },
    /** Goes on where an answer was cut off. */
    goOn(id) {
      const message = tree.get(id);
      const before = tree.path(message.parent);
      return follow(message, (signal) => streamContinuation(api, message, before, signal));
    },
    /** Results of the calls of an answer, in their order; the model goes on from there. */
    giveResults(id, results) {
      let parent = id;
      tree.get(id).toolCalls.forEach((call, at) => {
        parent = add("tool", parent, { toolCallId: call.id, name: call.name, content: results[at] }).id;
      });
      return ask(parent);
    },
    stop: () => running?.control.abort(),
    /** It was deleted: nothing of it is saved any more. */
    forget: () => (isKept = false),
    /** When no answer is being made any more. */
    settled: () => running?.ended,
    step(id, delta) {
      tree.step(id, delta);
      save();
      tell("tree");
    },
    /** @param {Partial<typeof row>} part */
    change(part) {
      Object.assign(row, part);
      save();
      tell("row");
    },
  };
}

/** @param {{ content: string, attachments?: { name: string }[] }} message */
export function titleOf({ content, attachments = [] }) {
  const words = (content.trim() || attachments[0]?.name || "").replace(/\s+/g, " ");
  return words.length > TITLE_LENGTH ? `${words.slice(0, TITLE_LENGTH).replace(/\s\S*$/, "")} …` : words;
}
