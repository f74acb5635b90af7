/**
 * A value that can be watched.
 * @template T
 * @typedef {{ readonly value: T, set(next: T): void, subscribe(watcher: (value: T) => void): () => void }} Signal
 */

/**
 * @template T
 * @param {T} value
 * @returns {Signal<T>} `subscribe` calls the watcher at once and at each change, and gives the way to leave.
 */
export function signal(value) {
  const watchers = new Set();
  return {
    get value() {
      return value;
    },
    set(next) {
      value = next;
      for (const watcher of [...watchers]) watcher(value);
    },
    subscribe(watcher) {
      watchers.add(watcher);
      watcher(value);
      return () => watchers.delete(watcher);
    },
  };
}
