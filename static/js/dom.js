import { iconPaths } from "./icons.js";

/**
 * Builds an element. Text is always text: nothing here parses HTML.
 *
 * `h("button.button.primary", { type: "button", onclick: save, "aria-pressed": true }, icon("plus"), "Save")`
 * @param {string} tag A tag name with classes behind dots.
 * @param {Record<string, unknown>} [props] `on…` functions are listeners, `class` adds to the tag's, `dataset` and
 *   `style` are objects (style through the CSSOM, which the Content-Security-Policy allows), names that the element has
 *   as writable properties (`value`, `checked`, `disabled`…) are set, others are attributes; null, undefined and false leave out.
 * @param {...(Node | string | number | null | undefined | false | unknown[])} children
 * @returns {HTMLElement}
 */
export function h(tag, props = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(props)) setProp(element, key, value);
  append(element, children);
  return element;
}

function setProp(element, key, value) {
  if (value === null || value === undefined) return;
  if (key === "class") element.classList.add(...String(value).split(" ").filter(Boolean));
  else if (key === "dataset") Object.assign(element.dataset, value);
  else if (key === "style") for (const [name, text] of Object.entries(value)) element.style.setProperty(name, text);
  else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
  else if (key.startsWith("aria-")) element.setAttribute(key, String(value));
  else if (PROPERTIES.has(key)) element[key] = value;
  else if (value !== false) element.setAttribute(key, value === true ? "" : String(value));
}

const PROPERTIES = new Set(["value", "checked", "disabled", "selected", "hidden", "open", "readOnly", "indeterminate", "textContent"]);

function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false || child === "") continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/** Replaces all children. @param {Element} element @param {...unknown} children */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
}

const SVG = "http://www.w3.org/2000/svg";

/** An icon of the set in icons.js, hidden from screen readers. @param {string} name @returns {SVGElement} */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", iconPaths[name] ?? "");
  svg.append(path);
  return svg;
}

/**
 * A button that shows an icon alone and says its words to screen readers and on hover.
 * @param {string} iconName @param {string} words @param {(event: Event) => void} onclick @param {Record<string, unknown>} [props]
 */
export function iconButton(iconName, words, onclick, props = {}) {
  const look = String(props.class ?? "").includes("primary") ? "button.button.square" : "button.button.plain.square";
  return h(look, { type: "button", title: words, "aria-label": words, onclick, ...props }, icon(iconName));
}
