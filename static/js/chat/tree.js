/**
 * The messages of a conversation as a tree: to edit or to ask again is to add a sibling, and nothing said is lost.
 *
 * @typedef {{ id: string, parent: string | null, role: "user" | "assistant" | "tool", content: string, created: number }} Node
 *   Only what the tree needs; messages carry more.
 */

/**
 * @param {Node[]} messages In any order.
 * @param {string | null} head The message that the shown branch ends with; null for none.
 */
export function createTree(messages, head) {
  /** @type {Map<string, Node>} */
  const nodes = new Map();
  /** @type {Map<string | null, string[]>} */
  const children = new Map();
  const link = (node) => {
    nodes.set(node.id, node);
    children.set(node.parent, [...(children.get(node.parent) ?? []), node.id]);
  };
  for (const node of [...messages].sort((a, b) => a.created - b.created)) link(node);

  const siblings = (id) => children.get(nodes.get(id).parent);
  const leafOf = (id) => {
    for (let at = id; ; at = children.get(at).at(-1)) if (!children.get(at)?.length) return at;
  };
  if (!nodes.has(head)) head = children.get(null)?.length ? leafOf(children.get(null).at(-1)) : null;

  return {
    get head() {
      return head;
    },
    get size() {
      return nodes.size;
    },
    get: (id) => nodes.get(id),
    all: () => [...nodes.values()],
    /** The messages that are shown, first to last. */
    path(from = head) {
      const path = [];
      for (let at = from; at !== null && nodes.has(at); at = nodes.get(at).parent) path.unshift(nodes.get(at));
      return path;
    },
    /** Adds a message and shows its branch. @param {Node} node */
    add(node) {
      link(node);
      head = node.id;
    },
    /** Where a message stands among its siblings. @returns {{ index: number, count: number }} */
    place(id) {
      const all = siblings(id);
      return { index: all.indexOf(id), count: all.length };
    },
    /** Shows the next or the last sibling's branch, in its newest form. @param {string} id @param {1 | -1} delta */
    step(id, delta) {
      const all = siblings(id);
      const target = all[all.indexOf(id) + delta];
      if (target) head = leafOf(target);
    },
    /** Ends the shown branch with this message. */
    show(id) {
      head = id;
    },
  };
}
