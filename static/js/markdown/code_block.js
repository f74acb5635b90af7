import DOMPurify from "../../vendor/dompurify/purify.js";
import { fill, h, icon } from "../dom.js";
import { work } from "./frame_work.js";

/** Longer code is shown without colours: a highlighter's patterns may take long over it. */
const MAX_COLOURED = 40000;

let highlighter = null;

/**
 * A block of code with its language and a way to copy it.
 * @param {string} text @param {string} language As the fence names it.
 * @param {(key: string) => string} t
 * @returns {{ element: HTMLElement, grow(text: string, language: string): void, colour(): Promise<void> }} `colour` is done when its turn in the page's frames has come.
 */
export function codeBlock(text, language, t) {
  const leaf = document.createTextNode(text);
  const code = h("code", {}, leaf);
  const label = h("span.code-language", {}, language || t("markdown.code"));
  const copy = h("button.button.plain.tiny", { type: "button", onclick: () => copyCode(copy, code, t) }, icon("copy"), t("common.copy"));
  // A scrolling region is reached by the keyboard.
  const pre = h("pre", { tabindex: "0", role: "group", "aria-label": t("markdown.code") }, code);
  return {
    element: h("figure.code-block", {}, h("figcaption", {}, label, copy), pre),
    grow(next, name) {
      if (next.startsWith(leaf.data)) leaf.appendData(next.slice(leaf.data.length));
      else leaf.data = next;
      language = name;
      label.textContent = name || t("markdown.code");
    },
    async colour() {
      const source = code.textContent;
      if (!language || source.length > MAX_COLOURED) return;
      highlighter ??= import("../../vendor/highlight/highlight.js");
      const { default: hljs } = await highlighter;
      if (!hljs.getLanguage(language)) return;
      work(() => colourNow(hljs, code, source, language));
    },
  };
}

function colourNow(hljs, code, source, language) {
  const { value } = hljs.highlight(source, { language, ignoreIllegals: true });
  code.replaceChildren(DOMPurify.sanitize(value, { ALLOWED_TAGS: ["span"], ALLOWED_ATTR: ["class"], RETURN_DOM_FRAGMENT: true }));
  return false;
}

async function copyCode(button, code, t) {
  await copyText(code.textContent);
  fill(button, icon("check"), t("common.copied"));
  setTimeout(() => fill(button, icon("copy"), t("common.copy")), 1600);
}

/** Copies, also where the page is not on a secure origin. @param {string} text */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = h("textarea", { class: "visually-hidden", value: text });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}
