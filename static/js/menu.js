import { h, icon } from "./dom.js";

/**
 * A menu below a button: arrow keys move, Esc and a click elsewhere close it.
 * @param {HTMLElement} anchor
 * @param {({ label: string, icon?: string, hint?: string, checked?: boolean, danger?: boolean, disabled?: boolean, run: () => void } | null)[]} rows
 *   null is a line between.
 */
export function openMenu(anchor, rows) {
  const menu = h("div.menu", { role: "menu", popover: "auto" });
  for (const row of rows) menu.append(row ? item(row, menu) : h("hr", { role: "separator" }));
  menu.addEventListener("keydown", (event) => move(event, menu));
  menu.addEventListener("toggle", (event) => {
    if (event.newState !== "closed") return;
    anchor.setAttribute("aria-expanded", "false");
    if (menu.contains(document.activeElement) || document.activeElement === document.body) anchor.focus({ preventScroll: true });
    setTimeout(() => menu.remove());
  });
  // Within a landmark, so that screen readers can say where it is.
  (anchor.closest("dialog, main, nav, aside") ?? document.body).append(menu);
  anchor.setAttribute("aria-haspopup", "menu");
  anchor.setAttribute("aria-expanded", "true");
  menu.showPopover();
  putBeside(menu, anchor);
  (menu.querySelector("[aria-checked=true]") ?? menu.querySelector("[role^=menuitem]:not(:disabled)"))?.focus();
}

function item(row, menu) {
  const isChoice = row.checked !== undefined;
  return h(
    "button.menu-item",
    {
      type: "button",
      role: isChoice ? "menuitemradio" : "menuitem",
      class: row.danger ? "danger" : "",
      disabled: row.disabled ?? false,
      ...(isChoice ? { "aria-checked": row.checked } : {}),
      onclick: () => {
        menu.hidePopover();
        row.run();
      },
    },
    row.icon && icon(row.icon),
    h("span.menu-label", {}, row.label, row.hint && h("small", {}, row.hint)),
    row.checked && icon("check"),
  );
}

function move(event, menu) {
  const items = [...menu.querySelectorAll("[role^=menuitem]:not(:disabled)")];
  const at = items.indexOf(document.activeElement);
  const target = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
  if (event.key === "Tab") menu.hidePopover();
  if (target === undefined) return;
  event.preventDefault();
  items.at(target % items.length).focus();
}

function putBeside(menu, anchor) {
  const box = anchor.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = menu;
  const below = innerHeight - box.bottom > height + 12 || box.top < height + 12;
  menu.style.left = `${Math.max(8, Math.min(box.left, innerWidth - width - 8))}px`;
  menu.style.top = `${Math.max(8, below ? box.bottom + 4 : box.top - height - 4)}px`;
}
