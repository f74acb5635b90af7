/** A fresh id. `crypto.randomUUID` would need a secure origin, which a server in the house often is not. */
export function newId() {
  return [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A seed that any JSON reader keeps exact. */
export const newSeed = () => crypto.getRandomValues(new Uint32Array(1))[0];
