/**
 * @typedef {{ keys: string, words: string, run: (event: KeyboardEvent) => void, whileTyping?: boolean }} Shortcut
 *   `keys` such as "?", "Escape", "Mod+Shift+O" (Mod is Ctrl, or ⌘ on a Mac), `words` the key of its description.
 */

/** The page's keys: rows are added by whoever is on the screen; the last one added wins. */
export function createShortcuts(target = document) {
  /** @type {Set<Shortcut[]>} */
  const sets = new Set();
  const onkeydown = (event) => {
    if (event.isComposing) return;
    const pressed = nameOf(event);
    const row = all().reverse().find((candidate) => candidate.keys === pressed);
    if (!row || (isTyping(event.target) && !row.whileTyping)) return;
    if (event.target instanceof Element && event.target.closest("dialog[open], [popover]")) return;
    event.preventDefault();
    row.run(event);
  };
  const all = () => [...sets].flat();
  target.addEventListener("keydown", onkeydown);
  return {
    /** @param {Shortcut[]} rows @returns {() => void} */
    add(rows) {
      sets.add(rows);
      return () => sets.delete(rows);
    },
    /** What can be pressed now, for the list. @returns {Shortcut[]} */
    all,
  };
}

/** The name of a key event in the words of the table. */
export function nameOf(event) {
  const parts = [];
  if (event.ctrlKey || event.metaKey) parts.push("Mod");
  if (event.altKey) parts.push("Alt");
  // With Alt, a Mac's keys write other signs; their places on the keyboard are what is meant.
  const placed = event.altKey && /^(?:Key|Digit)(.)$/.exec(event.code ?? "");
  const key = placed ? placed[1] : event.key.length === 1 ? event.key.toUpperCase() : event.key;
  // Shift is part of a sign such as "?", and only said beside letters and named keys.
  if (event.shiftKey && (key.length > 1 || /[A-Z0-9]/.test(key))) parts.push("Shift");
  return [...parts, key].join("+");
}

const isTyping = (element) =>
  element instanceof HTMLElement && (element.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(element.tagName));

const isMac = () => /Mac|iPhone|iPad/.test(navigator.platform);

/** How a key is written for people. @param {string} keys @returns {string[]} */
export const keyLabels = (keys) =>
  keys.split("+").map((part) => ({ Mod: isMac() ? "⌘" : "Ctrl", Escape: "Esc", ArrowUp: "↑", ArrowDown: "↓" })[part] ?? part);
