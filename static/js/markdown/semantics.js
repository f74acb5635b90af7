import { h } from "../dom.js";

/**
 * What a screen reader would stumble over: names that a model left empty.
 * @param {DocumentFragment} fragment
 */
export function nameAll(fragment) {
  for (const heading of fragment.querySelectorAll("h1, h2, h3, h4, h5, h6")) {
    if (isEmpty(heading)) heading.remove();
  }
  for (const cell of fragment.querySelectorAll("th")) {
    if (isEmpty(cell)) cell.replaceWith(h("td", { align: cell.getAttribute("align") }, ...cell.childNodes));
  }
  for (const link of fragment.querySelectorAll("a[href]")) {
    if (isEmpty(link)) link.textContent = link.getAttribute("href");
  }
  for (const summary of fragment.querySelectorAll("summary")) {
    if (isEmpty(summary)) summary.textContent = "…";
  }
}

const isEmpty = (element) => !element.textContent.trim();
