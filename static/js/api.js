import { createEventReader } from "./sse.js";

/** What went wrong with a call, in the server's own words where it said any. */
export class ApiError extends Error {
  /**
   * @param {string} message
   * @param {{ status?: number, type?: string, code?: string, param?: string | null, retryAfter?: number }} [facts]
   *   `status` 0 and `code` "unreachable" where no server answered.
   */
  constructor(message, { status = 0, type = "", code = "", param = null, retryAfter = 0 } = {}) {
    super(message);
    Object.assign(this, { name: "ApiError", status, type, code, param, retryAfter });
  }
}

/** Whether an error is the caller's own abort. @param {unknown} error */
export const isAbort = (error) => error instanceof DOMException && error.name === "AbortError";

/**
 * The server's API on this origin. The key stays in this closure: in the tab's memory and nowhere else.
 * @param {{ askKey?: (refused: boolean) => Promise<string | null> }} [hooks] `askKey` is called once for many calls that need it.
 */
export function createApi({ askKey } = {}) {
  let key = "";
  let asking = null;
  let heardAt = 0;
  const hear = () => (heardAt = Date.now());

  async function call(path, init) {
    for (;;) {
      const used = key;
      const response = await reach(path, withKey(init, used));
      hear();
      if (response.status !== 401 || !askKey) return response;
      if (used === key) {
        asking ??= askKey(used !== "").finally(() => (asking = null));
        const answer = await asking;
        if (answer === null) return response;
        key = answer;
      }
    }
  }

  async function json(path, init) {
    const response = await call(path, init);
    if (!response.ok) throw await errorOf(response);
    return response.status === 204 ? null : response.json();
  }

  async function* events(path, init) {
    const response = await call(path, init);
    if (!response.ok) throw await errorOf(response);
    yield* readEvents(response.body, hear);
  }

  return {
    /** When the server last sent anything, in ms since 1970. */
    heardAt: () => heardAt,
    /** Whether a key is used: never the key itself. */
    hasKey: () => key !== "",
    /** @returns {Promise<any>} */
    get: (path, { signal } = {}) => json(path, { signal }),
    /** @returns {Promise<any>} */
    post: (path, body, { signal } = {}) => json(path, posted(body, signal)),
    /** @returns {Promise<any>} */
    delete: (path, { signal } = {}) => json(path, { method: "DELETE", signal }),
    /** Events of a GET stream, as `{ event, data }` with data parsed from JSON. */
    events: async function* (path, { signal } = {}) {
      for await (const { event, data } of events(path, { signal })) yield { event, data: JSON.parse(data) };
    },
    /** Chunks of an OpenAI stream, until `[DONE]`; an error event is thrown. @returns {AsyncGenerator<any>} */
    stream: async function* (path, body, { signal } = {}) {
      for await (const { data } of events(path, posted(body, signal))) {
        if (data === "[DONE]") return;
        const chunk = JSON.parse(data);
        if (chunk.error) throw new ApiError(chunk.error.message, chunk.error);
        yield chunk;
      }
      throw new ApiError("The stream ended before its end.", { code: "unreachable" });
    },
  };
}

async function reach(path, init) {
  try {
    return await fetch(path, init);
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new ApiError("The server does not answer.", { code: "unreachable" });
  }
}

const posted = (body, signal) => ({
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify(body),
  signal,
});

const withKey = (init, key) => (key ? { ...init, headers: { ...init.headers, Authorization: `Bearer ${key}` } } : init);

async function errorOf(response) {
  const facts = { status: response.status, retryAfter: Number(response.headers.get("Retry-After") ?? 0) };
  try {
    const { error } = await response.json();
    return new ApiError(error.message, { ...error, ...facts });
  } catch {
    return new ApiError(`${response.status} ${response.statusText}`, facts);
  }
}

async function* readEvents(body, onPiece) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  const cutter = createEventReader();
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      onPiece();
      yield* cutter.push(value);
    }
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new ApiError("The connection was lost.", { code: "unreachable" });
  } finally {
    reader.cancel().catch(() => {});
  }
}
