import { createHistory } from "../charts/history.js";
import { signal } from "../signal.js";
import { openStream } from "./stream.js";

/** Requests of the log that the page keeps, as many as the server does. */
const MOST_REQUESTS = 200;

/** The share of right guesses is that of so many events: a few seconds. */
const EVENTS_OF_SHARE = 10;

/** The lines show so much. */
export const SPAN_S = 180;

/**
 * What `/api/engine` tells, while somebody looks.
 *
 * Its value is `{ models, requests, fault }`: the engines, the log with the newest request first, and why nothing comes, null
 * while it does. `history(id)` has a model's `decode` and `prefill` in tokens/s and `ahead`, the share of right guesses.
 * @param {object} app
 */
export function engineFeed(app) {
  app.session.engineFeed ??= createFeed();
  const feed = app.session.engineFeed;
  return Object.assign(feed, { watch: () => openStream(app.api, "/api/engine?stream=true", feed) });
}

function createFeed() {
  const state = signal({ models: null, requests: [], fault: null });
  const histories = new Map();
  const history = (id) => {
    if (!histories.has(id)) histories.set(id, createHistory(["decode", "prefill", "ahead"], { spanS: SPAN_S, gapS: 5 }));
    return histories.get(id);
  };
  const earlier = new Map();

  return Object.assign(state, {
    history,
    /** @param {{ time: number, models: any[], requests: any[] }} told One event. */
    onEvent({ time, models, requests }) {
      for (const model of models) {
        if (!model.engine) continue;
        const seen = [...(earlier.get(model.id) ?? []), model.lookahead].slice(-EVENTS_OF_SHARE);
        earlier.set(model.id, seen);
        history(model.id).add(time, pointOf(model, seen));
      }
      state.set({ models, requests: merged(state.value.requests, requests), fault: null });
    },
    onFault: (fault) => state.set({ ...state.value, fault }),
  });
}

/** One point of the lines. @param {any} model @param {any[]} seen Its `lookahead` at the last events, this one among them. */
export function pointOf(model, seen) {
  const guessed = seen.at(-1).guessed_tokens - seen[0].guessed_tokens;
  const hit = seen.at(-1).hit_tokens - seen[0].hit_tokens;
  return { ...model.tokens_per_s, ahead: guessed > 0 && hit >= 0 ? hit / guessed : null };
}

/** The log with new requests in it; a server that was started anew begins to count anew. */
export function merged(known, fresh) {
  const last = known[0]?.number ?? 0;
  const isNewServer = fresh.length > 0 && fresh.at(-1).number < last;
  const added = fresh.filter(({ number }) => isNewServer || number > last).reverse();
  return [...added, ...(isNewServer ? [] : known)].slice(0, MOST_REQUESTS);
}
