/**
 * The ranks of headings as a screen reader's outline tells them. A model writes `##` and then `####`; who goes from heading to
 * heading would look for the one between. Headings keep their looks.
 */
export function createOutline() {
  let last = 1;

  /**
   * @param {ParentNode} fragment A block behind those that stand.
   * @param {boolean} stands Whether the next block follows it; one that is rendered anew does not count.
   */
  return function rank(fragment, stands) {
    let above = last;
    for (const heading of fragment.querySelectorAll("h1, h2, h3, h4, h5, h6")) {
      const written = Number(heading.tagName[1]);
      above = Math.min(written, above + 1);
      if (above !== written) heading.setAttribute("aria-level", String(above));
    }
    if (stands) last = above;
  };
}
