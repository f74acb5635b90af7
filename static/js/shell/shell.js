import { fill, h, icon, iconButton } from "../dom.js";
import { VIEWS } from "../navigation.js";
import { hashOf, parseRoute } from "../router.js";
import { openShortcutList } from "./shortcut_list.js";
import { mountConversationList } from "../conversations/list.js";
import { signal } from "../signal.js";
import { serverLine } from "./server_line.js";

/**
 * The frame round every view: the sidebar (a drawer on a phone) and the place of the view.
 * @param {HTMLElement} host
 * @param {object} app See main.js. The shell adds `app.shell`: `menuButton()`, a button for a view's own bar that opens the
 *   drawer on a phone, and `shownConversation`, a signal of the id of the conversation that is shown.
 */
export function mountShell(host, app) {
  const { t } = app;
  const main = h("main.place", { id: "place", tabindex: "-1" });
  const slot = h("div.sidebar-slot");
  const links = VIEWS.map((view) => navigationLink(view, t));
  const sidebar = h(
    "nav.sidebar",
    { id: "sidebar", "aria-label": t("shell.navigation") },
    h("div.sidebar-head", {}, brand(t), iconButton("sidebar", t("shell.fold"), () => toggleSidebar(app), { class: "fold" })),
    h("ul.nav", {}, links.filter(({ view }) => !view.foot).map(({ item }) => item)),
    slot,
    h("div.sidebar-foot", {}, h("ul.nav", {}, links.filter(({ view }) => view.foot).map(({ item }) => item)), serverLine(app)),
  );
  const shade = h("div.shade", { onclick: () => closeDrawer() });
  const skip = h("a.skip", { href: "#place", onclick: (event) => (event.preventDefault(), main.focus()) }, t("shell.skip"));
  fill(host, skip, h("div.shell", {}, sidebar, shade, main));

  const openDrawer = () => (document.documentElement.dataset.drawer = "open");
  const closeDrawer = () => delete document.documentElement.dataset.drawer;
  app.shell = {
    shownConversation: signal(parseRoute(location.hash, ["chat"]).args[0] ?? ""),
    openDrawer,
    closeDrawer,
    menuButton: () => iconButton("menu", t("shell.menu"), openDrawer, { class: "menu-button" }),
  };
  const leaveList = mountConversationList(slot, app);
  const removeKeys = app.shortcuts.add([
    { keys: "?", words: "keys.list", run: () => openShortcutList(app) },
    { keys: "Mod+B", words: "keys.sidebar", run: () => toggleSidebar(app), whileTyping: true },
    ...VIEWS.map((view, at) => ({ keys: `Alt+${at + 1}`, words: `nav.${view.name}`, run: () => app.go(view.name), whileTyping: true })),
  ]);
  const onEscape = (event) => event.key === "Escape" && closeDrawer();
  document.addEventListener("keydown", onEscape);

  return {
    /** An empty element for a view. */
    place() {
      const root = h("div.view");
      fill(main, root);
      return root;
    },
    mark(name) {
      for (const { view, link } of links) {
        if (view.name === name) link.setAttribute("aria-current", "page");
        else link.removeAttribute("aria-current");
      }
      closeDrawer();
    },
    unmount() {
      removeKeys();
      leaveList();
      serverLine.leave(sidebar);
      document.removeEventListener("keydown", onEscape);
      closeDrawer();
    },
  };
}

function brand(t) {
  return h("a.brand", { href: hashOf("chat"), title: t("nav.chat") }, h("img", { src: "favicon.svg", alt: "", width: 30, height: 30 }), h("span", {}, "obeaver"));
}

function navigationLink(view, t) {
  const words = t(`nav.${view.name}`);
  const link = h("a.nav-link", { href: hashOf(view.name), title: words }, icon(view.icon), h("span", {}, words));
  return { view, link, item: h("li", {}, link) };
}

function toggleSidebar(app) {
  app.settings.change({ sidebar: app.settings.value.sidebar === "wide" ? "narrow" : "wide" });
}
