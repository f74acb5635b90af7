const NAME = "obeaver";
const VERSION = 1;

/** Tables of the browser's database: conversations, their messages, and the library of presets and system prompts. */
const TABLES = {
  conversations: [],
  messages: ["conversation"],
  library: ["kind"],
};

/**
 * Opens the browser's database, or one in memory where the browser gives none (private windows of some browsers).
 * @typedef {{ kept: boolean, get(table: string, id: string): Promise<any>, all(table: string): Promise<any[]>,
 *   by(table: string, index: string, value: string): Promise<any[]>, put(table: string, ...rows: object[]): Promise<void>,
 *   remove(table: string, ...ids: string[]): Promise<void> }} Database
 * @returns {Promise<Database>} `kept` says whether anything outlives the tab.
 */
export async function openDatabase(factory = globalThis.indexedDB) {
  try {
    return keptDatabase(await open(factory));
  } catch {
    return memoryDatabase();
  }
}

function open(factory) {
  return new Promise((resolve, reject) => {
    const request = factory.open(NAME, VERSION);
    request.onupgradeneeded = () => {
      for (const [table, indexes] of Object.entries(TABLES)) {
        const store = request.result.createObjectStore(table, { keyPath: "id" });
        for (const index of indexes) store.createIndex(index, index);
      }
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

const settled = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

function keptDatabase(db) {
  const read = (table, ask) => settled(ask(db.transaction(table).objectStore(table)));
  const write = (table, act) =>
    new Promise((resolve, reject) => {
      const transaction = db.transaction(table, "readwrite");
      act(transaction.objectStore(table));
      transaction.oncomplete = () => resolve();
      transaction.onerror = transaction.onabort = () => reject(transaction.error);
    });
  return {
    kept: true,
    get: (table, id) => read(table, (store) => store.get(id)),
    all: (table) => read(table, (store) => store.getAll()),
    by: (table, index, value) => read(table, (store) => store.index(index).getAll(value)),
    put: (table, ...rows) => write(table, (store) => rows.forEach((row) => store.put(row))),
    remove: (table, ...ids) => write(table, (store) => ids.forEach((id) => store.delete(id))),
  };
}

/** The same in memory. Rows are copied, as a real database would. @returns {Database} */
export function memoryDatabase() {
  const tables = Object.fromEntries(Object.keys(TABLES).map((name) => [name, new Map()]));
  const copies = (rows) => rows.map((row) => structuredClone(row));
  return {
    kept: false,
    get: async (table, id) => structuredClone(tables[table].get(id)),
    all: async (table) => copies([...tables[table].values()]),
    by: async (table, index, value) => copies([...tables[table].values()].filter((row) => row[index] === value)),
    put: async (table, ...rows) => copies(rows).forEach((row) => tables[table].set(row.id, row)),
    remove: async (table, ...ids) => ids.forEach((id) => tables[table].delete(id)),
  };
}
