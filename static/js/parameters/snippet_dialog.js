import { buildRequest } from "../chat/request.js";
import { openDialog } from "../dialog.js";
import { fill, h } from "../dom.js";
import { codeBlock } from "../markdown/code_block.js";
import { snippet } from "./snippet.js";

const LANGUAGES = [["curl", "curl", "bash"], ["python", "Python", "python"], ["javascript", "JavaScript", "javascript"]];

/**
 * Shows a request as code: the one that made an answer, or the one that would be sent now.
 * @param {object} app @param {object} chat @param {string} draft What is typed. @param {string} [answer] Id of an answer.
 */
export function openSnippet(app, chat, draft, answer) {
  const { t, api } = app;
  const body = answer ? answered(chat, answer) : buildRequest([...chat.tree.path(), ...(draft.trim() ? [{ role: "user", content: draft }] : [])], chat.row.settings);
  const place = h("div");
  const tabs = LANGUAGES.map(([name, label, grammar]) => h("button.button", { type: "button", onclick: () => show(name, grammar) }, label));

  function show(name, grammar) {
    tabs.forEach((tab, at) => tab.setAttribute("aria-pressed", String(LANGUAGES[at][0] === name)));
    const code = codeBlock(snippet(name, body, location.origin, api.hasKey()), grammar, t);
    fill(place, code.element);
    code.colour();
  }

  show("curl", "bash");
  openDialog({ title: t("snippet.title"), body: [h("div.segments", { role: "group", "aria-label": t("snippet.language") }, tabs), place], wide: true, closeWords: t("common.close") });
}

function answered({ tree }, id) {
  const message = tree.get(id);
  return buildRequest(tree.path(message.parent), message.settings);
}
