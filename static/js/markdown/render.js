import DOMPurify from "../../vendor/dompurify/purify.js";
import { Marked } from "../../vendor/marked/marked.js";
import { h } from "../dom.js";
import { isTangled, limitNesting } from "./limits.js";
import { tameLinks } from "./links.js";
import { mathExtensions } from "./math.js";
import { nameAll } from "./semantics.js";

/**
 * One block of a model's Markdown as DOM. What a model writes is hostile until it is shown: HTML of its own is shown as the text
 * it is, all but a few marks without attributes; what marked makes goes through DOMPurify with a short list of tags.
 */

/** Signs of a block that is still parsed; the cutter makes longer ones only of endless lines. */
const MAX_PARSED = 12000;
const PIECE = 2000;

const MARKS = /^<\/?(?:br|sub|sup|kbd|mark|u|s|b|i|em|strong|del|ins|small|details|summary|hr)\s*\/?>$/i;

const CLEAN = {
  ALLOWED_TAGS: [
    "p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "pre", "code", "table", "thead", "tbody", "tr",
    "th", "td", "em", "strong", "del", "ins", "a", "sub", "sup", "kbd", "mark", "u", "s", "b", "i", "small", "span", "details", "summary",
  ],
  ALLOWED_ATTR: ["href", "start", "align", "class"],
  ALLOWED_URI_REGEXP: /^(?:https?:|mailto:)/i,
  // Attributes that are no addresses; DOMPurify would hold them to the pattern above.
  ADD_URI_SAFE_ATTR: ["align", "start"],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
};

const OWN_CLASSES = /^(?:math-inline|math-block|task|language-[\w+#.-]{1,40})$/;

const escape = (text) => text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);

const marked = new Marked({ gfm: true, async: false });
marked.use({
  extensions: mathExtensions,
  renderer: {
    html: ({ text, block }) => (MARKS.test(text.trim()) ? text.trim() : block ? `<p>${escape(text.trim())}</p>` : escape(text)),
    // No picture is fetched from anywhere: the reader sees where it would come from.
    image: ({ href, text }) => `<a href="${escape(href)}">${escape(text || href)}</a>`,
    checkbox: ({ checked }) => `<span class="task">${checked ? "☑" : "☐"}</span> `,
    code: ({ text, lang }) => `<pre><code class="language-${escape((lang ?? "").trim().split(/\s/)[0])}">${escape(text)}</code></pre>`,
  },
});

/** @param {string} source @returns {DocumentFragment} */
export function renderBlock(source) {
  if (source.length > MAX_PARSED || isTangled(source)) return plain(source);
  try {
    const clean = DOMPurify.sanitize(marked.parse(limitNesting(source)), CLEAN);
    for (const element of clean.querySelectorAll("[class]")) {
      if (!OWN_CLASSES.test(element.className)) element.removeAttribute("class");
    }
    nameAll(clean);
    tameLinks(clean);
    return clean;
  } catch (error) {
    // A block that the parser gives up on is still what the model said.
    if (!(error instanceof RangeError || error instanceof Error)) throw error;
    return plain(source);
  }
}

/** The text as it is, in pieces, since a browser takes long to lay out one endless word. */
function plain(source) {
  const fragment = document.createDocumentFragment();
  for (let at = 0; at < source.length; at += PIECE) fragment.append(h("p.raw-text", {}, source.slice(at, at + PIECE)));
  return fragment;
}
