/**
 * Hash routes: `#/view/argument`.
 * @param {string} hash @param {string[]} names The views that exist; the first is the default.
 * @returns {{ view: string, args: string[] }}
 */
export function parseRoute(hash, names) {
  const [view, ...args] = hash.replace(/^#\/?/, "").split("/").map(decode);
  return names.includes(view) ? { view, args: args.filter(Boolean) } : { view: names[0], args: [] };
}

/** @param {string} view @param {...string} args */
export const hashOf = (view, ...args) => `#/${[view, ...args].map(encodeURIComponent).join("/")}`;

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
