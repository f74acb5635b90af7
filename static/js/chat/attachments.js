import { fill, h, icon, iconButton } from "../dom.js";

const MAX_BYTES = 1_000_000;

/**
 * Files that go with the next message: text and source files, with their tokens counted by the server.
 * @param {object} app
 * @param {() => void} onChange
 */
export function createAttachments(app, onChange) {
  const { t, api, format } = app;
  const list = h("ul.attachments", { hidden: true, "aria-label": t("composer.attachments") });
  let files = [];

  function show() {
    list.hidden = files.length === 0;
    fill(list, files.map(chip));
    onChange();
  }

  function chip(file) {
    const size = file.tokens === undefined ? "…" : file.tokens === null ? format.bytes(file.size) : t("composer.tokens", { count: file.tokens, number: format.number(file.tokens) });
    return h("li.chip", {}, icon("file"), h("span", {}, file.name), h("span.muted.small", {}, size), iconButton("close", t("composer.detach", { name: file.name }), () => remove(file), { class: "tiny" }));
  }

  function remove(file) {
    files = files.filter((other) => other !== file);
    show();
  }

  async function add(source) {
    const fault = faultOf(source, t, format);
    if (fault) return app.toast(fault);
    const text = await readText(source);
    if (text === null) return app.toast(t("composer.notText", { name: source.name }));
    const file = { name: source.name, size: source.size, text };
    files = [...files, file];
    show();
    file.tokens = await countTokens(api, text);
    show();
  }

  return {
    element: list,
    get files() {
      return files.map(({ name, size, text }) => ({ name, size, text }));
    },
    /** @param {Iterable<File>} sources */
    add: (sources) => Promise.all([...sources].map(add)),
    clear() {
      files = [];
      show();
    },
  };
}

function faultOf({ type, size, name }, t, format) {
  if (type.startsWith("image/")) return t("composer.noImages", { name });
  if (/^(audio|video)\//.test(type)) return t("composer.notText", { name });
  return size > MAX_BYTES ? t("composer.tooLarge", { name, size: format.bytes(MAX_BYTES) }) : "";
}

/** The text of a file, or null where it is none. */
async function readText(file) {
  const bytes = await file.arrayBuffer();
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return text.includes("\0") ? null : text;
  } catch {
    return null;
  }
}

async function countTokens(api, text) {
  try {
    const { count } = await api.post("/v1/tokenize", { prompt: text, add_special_tokens: false });
    return count;
  } catch {
    return null;
  }
}
