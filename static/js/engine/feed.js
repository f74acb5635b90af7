import { createHistory } from "../charts/history.js";
import { signal } from "../signal.js";
import { openStream } from "./stream.js";

/** Requests of the log that the page keeps, as many as the server does. */
const MOST_REQUESTS = 200;

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
  let before = new Map();

  return Object.assign(state, {
    history,
    /** @param {{ time: number, models: any[], requests: any[] }} told One event. */
    onEvent({ time, models, requests }) {
      for (const model of models) {
        if (model.engine) history(model.id).add(time, pointOf(model, before.get(model.id)));
      }
      before = new Map(models.map((model) => [model.id, model]));
      state.set({ models, requests: merged(state.value.requests, requests), fault: null });
    },
    onFault: (fault) => state.set({ ...state.value, fault }),
  });
}

/** One point of the lines. @param {any} model @param {any} before The same model at the event before. */
export function pointOf(model, before) {
  const guessed = model.lookahead.guessed_tokens - (before?.lookahead?.guessed_tokens ?? Infinity);
  const hit = model.lookahead.hit_tokens - (before?.lookahead?.hit_tokens ?? 0);
  return { ...model.tokens_per_s, ahead: guessed > 0 ? hit / guessed : null };
}

/** The log with new requests in it; a server that was started anew begins to count anew. */
export function merged(known, fresh) {
  const last = known[0]?.number ?? 0;
  const isNewServer = fresh.length > 0 && fresh.at(-1).number < last;
  const added = fresh.filter(({ number }) => isNewServer || number > last).reverse();
  return [...added, ...(isNewServer ? [] : known)].slice(0, MOST_REQUESTS);
}
