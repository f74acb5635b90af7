/**
 * The start of the page, and the contract of its views.
 *
 * A view is a module `js/views/NAME.js` with a row in `navigation.js` and words in `static/i18n/*.json`. It exports
 *
 *     export function mount(root, app, args) -> { unmount(), navigate?(args), title?: string }
 *
 * `root` is an empty element that the view owns until `unmount`, which must stop every timer, listener on `window` or
 * `document`, subscription and request that the view began. `args` are the parts of the hash behind the view's name
 * (`#/chat/ID` gives `["ID"]`); when they change, `navigate` is called where it exists, else the view is mounted anew.
 * A view is also unmounted and mounted anew when the language changes, so it keeps nothing that it cannot find again.
 *
 * `app` is:
 * - `api`: `get`, `post`, `delete`, `stream` (OpenAI chunks), `events` (GET streams); errors are `ApiError` (api.js);
 * - `t`: words (i18n.js); `format`: numbers, sizes, times in the language (format.js);
 * - `settings`: a signal of what the browser remembers, with `change({…})` (settings.js);
 * - `health`: a signal of `{ state, facts, since }`, with `now()` to ask at once (health.js);
 * - `store`: conversations, presets and prompts in the browser (store/…);
 * - `session`: what lives as long as the tab, whichever view is shown, such as answers that are being made;
 * - `toast(words, { action, onAction })`: short words at the foot; `announce(words)`: words for screen readers alone;
 * - `shortcuts.add(rows)`: keys while the view is mounted, gives the way to remove them (shortcuts.js);
 * - `go(view, ...args)`: changes the hash.
 *
 * Elements come from `h()` in dom.js, which never parses HTML; the Content-Security-Policy is `default-src 'self'`, so
 * there are no inline scripts, `style` attributes, `eval` or other origins. CSS of a view is `css/NAME.css`, with `@import`
 * nowhere: index.html lists it. Colours, space and type come from css/tokens.css alone.
 */

import { createApi } from "./api.js";
import { createFormat } from "./format.js";
import { watchHealth } from "./health.js";
import { loadWords } from "./i18n.js";
import { createKeyPrompt } from "./key_prompt.js";
import { VIEWS } from "./navigation.js";
import { hashOf, parseRoute } from "./router.js";
import { applyTheme, createSettings, pageLanguage } from "./settings.js";
import { mountShell } from "./shell/shell.js";
import { createShortcuts } from "./shortcuts.js";
import { openStore } from "./store/store.js";
import { createToasts } from "./toast.js";

async function start() {
  const settings = createSettings();
  settings.subscribe(applyTheme);
  const keyPrompt = createKeyPrompt();
  const api = createApi({ askKey: keyPrompt.ask });
  const app = {
    settings,
    api,
    session: {},
    shortcuts: createShortcuts(),
    go: (view, ...args) => (location.hash = hashOf(view, ...args)),
    announce: (words) => (document.getElementById("announcer").textContent = words),
  };
  await speak(app);
  keyPrompt.use(app);
  app.health = watchHealth(api);
  app.store = await openStore();

  let page = show(app);
  let language = app.t.language;
  settings.subscribe(async () => {
    const wanted = pageLanguage(settings.value);
    if (wanted === language) return;
    language = wanted;
    await speak(app);
    page.leave();
    page = show(app);
  });
  addEventListener("hashchange", () => page.follow(currentRoute()));
}

async function speak(app) {
  app.t = await loadWords(pageLanguage(app.settings.value));
  app.format = createFormat(app.t.language);
  document.documentElement.lang = app.t.language === "zh" ? "zh-Hans" : "en";
  document.querySelector(".toasts")?.remove();
  app.toast = createToasts(app.t);
}

const currentRoute = () => parseRoute(location.hash, VIEWS.map(({ name }) => name));

/**
 * The module of a view. Where the server is gone, it waits until it is back; a browser may remember that a module could not be
 * loaded, and then the page begins anew.
 */
async function loadView(name, app) {
  const { load } = VIEWS.find((view) => view.name === name);
  try {
    return await load();
  } catch {
    app.toast(app.t("server.gone"));
    await answering(app.health);
    return load().catch(() => location.reload());
  }
}

/** @returns {Promise<void>} Resolves at the next answer of the server. */
function answering(health) {
  return new Promise((resolve) => {
    const begun = Date.now();
    const leave = health.subscribe(({ state, since }) => {
      if (!["ok", "empty", "unwell"].includes(state) || since < begun) return;
      resolve();
      queueMicrotask(() => leave());
    });
  });
}

/** The shell with the view of the hash in it. */
function show(app) {
  const shell = mountShell(document.getElementById("app"), app);
  let shown = { view: "", args: [] };
  let mounted = null;
  let turn = 0;

  async function follow(route) {
    const mine = (turn += 1);
    shell.mark(route.view);
    if (route.view === shown.view && mounted?.navigate) {
      shown = route;
      mounted.navigate(route.args);
      return;
    }
    const view = await loadView(route.view, app);
    if (mine !== turn || !view) return;
    leaveView();
    shown = route;
    mounted = view.mount(shell.place(), app, route.args);
    document.title = `${app.t(`nav.${route.view}`)} · obeaver`;
  }

  function leaveView() {
    mounted?.unmount();
    mounted = null;
  }

  follow(currentRoute());
  return {
    follow,
    leave() {
      turn += 1;
      leaveView();
      shell.unmount();
    },
  };
}

start();
