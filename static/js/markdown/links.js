import { h } from "../dom.js";

/**
 * Links of a model: they open elsewhere, tell nothing about this page, and show where they lead if their words say otherwise.
 * @param {DocumentFragment} fragment
 */
export function tameLinks(fragment) {
  for (const link of fragment.querySelectorAll("a")) {
    const href = link.getAttribute("href");
    if (!href || !URL.canParse(href)) {
      link.replaceWith(...link.childNodes);
      continue;
    }
    link.rel = "noopener noreferrer nofollow";
    link.target = "_blank";
    link.title = href;
    const host = spoofedHost(link.textContent, href);
    if (host) link.after(h("span.link-host", {}, host));
  }
}

/**
 * The true host of a link whose words look like another address; empty where nothing is hidden.
 * @param {string} words @param {string} href
 */
export function spoofedHost(words, href) {
  const { protocol, hostname, pathname } = new URL(href);
  // An address in full may have a file's name in its path, which is no host.
  if (URL.canParse(words) && new URL(words).hostname === hostname && hostname) return "";
  const host = protocol === "mailto:" ? pathname.split("@").at(-1) : hostname;
  const said = words.normalize("NFKC").match(/[\p{L}\p{N}-]+(?:\.[\p{L}\p{N}-]+)+/gu) ?? [];
  const named = said.filter((name) => /\.\p{L}{2,}$/u.test(name)).map((name) => canonical(name));
  const isTrue = (name) => name === canonical(host);
  return named.length && !named.every(isTrue) ? host : "";
}

function canonical(name) {
  const lower = name.toLowerCase().replace(/^www\./, "");
  return URL.canParse(`http://${lower}`) ? new URL(`http://${lower}`).hostname : lower;
}
