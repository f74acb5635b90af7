import { isAbort } from "../api.js";

const AGAIN_AFTER_MS = 1000;

/**
 * Listens to a stream of events while the tab is visible, and again after it broke. A hidden tab holds no connection: a
 * browser opens few of them to one server.
 * @param {{ events: Function }} api @param {string} path
 * @param {{ onEvent: (data: any) => void, onFault: (error: Error) => void }} listener
 * @returns {() => void} Ends it.
 */
export function openStream(api, path, { onEvent, onFault }) {
  let hearing = null;
  let timer = 0;

  async function listen() {
    clearTimeout(timer);
    if (hearing || document.hidden) return;
    const mine = (hearing = new AbortController());
    try {
      for await (const { data } of api.events(path, { signal: mine.signal })) onEvent(data);
    } catch (error) {
      if (!isAbort(error)) onFault(error);
    }
    if (mine !== hearing) return;
    hearing = null;
    timer = setTimeout(listen, AGAIN_AFTER_MS);
  }

  function leave() {
    clearTimeout(timer);
    hearing?.abort();
    hearing = null;
  }

  const onVisibility = () => (document.hidden ? leave() : listen());
  document.addEventListener("visibilitychange", onVisibility);
  listen();
  return () => {
    document.removeEventListener("visibilitychange", onVisibility);
    leave();
  };
}
