import { h, icon } from "../dom.js";
import { createTurn } from "./turn.js";

/** How near the view, in px, a turn is rendered. */
const NEAR = "1500px";
const AT_END_PX = 48;

/**
 * The turns of the shown branch.
 * @typedef {{ edit(id: string, text: string): void, again(id: string): void, goOn(id: string): void, step(id: string, delta: number): void,
 *   giveResults(id: string, results: string[]): void, resultsOf(id: string): object[], showCode(id: string): void,
 *   place(id: string): { index: number, count: number } }} Acts
 * @param {object} app
 * @param {Acts} acts
 */
export function createThread(app, acts) {
  const { t } = app;
  const list = h("div.turns");
  const scroller = h("section.thread", { "aria-label": t("chat.thread"), tabindex: "0" }, list);
  const toEnd = h("button.button.to-end", { type: "button", title: t("chat.toEnd"), "aria-label": t("chat.toEnd"), hidden: true, onclick: () => jump() }, icon("down"));
  /** @type {Map<string, ReturnType<typeof createTurn>>} */
  const turns = new Map();
  let follows = true;
  let frame = 0;

  const observer = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting) continue;
        turns.get(target.dataset.id)?.render();
        observer.unobserve(target);
      }
      if (follows) toBottom();
    },
    { root: scroller, rootMargin: NEAR },
  );

  scroller.addEventListener("scroll", () => {
    follows = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < AT_END_PX;
    toEnd.hidden = follows;
  });
  // What is rendered late, such as formulas, may push the end away from a reader who was there.
  const growth = new ResizeObserver(() => follows && toBottom());
  growth.observe(list);
  growth.observe(scroller);

  const toBottom = () => (scroller.scrollTop = scroller.scrollHeight);

  function jump() {
    follows = true;
    toBottom();
  }

  /** Shows these messages: turns that stay are kept as they are. @param {object[]} path */
  function show(path) {
    const shown = path.filter(({ role }) => role !== "tool");
    const ids = new Set(shown.map(({ id }) => id));
    for (const [id, turn] of turns) if (!ids.has(id)) drop(id, turn);
    let at = list.firstElementChild;
    for (const message of shown) {
      const turn = turns.get(message.id) ?? add(message);
      if (turn.element === at) at = at.nextElementSibling;
      else list.insertBefore(turn.element, at);
      turn.update();
    }
    for (const message of shown.slice(-2)) turns.get(message.id).render();
    for (const turn of turns.values()) turn.element.classList.toggle("last", turn.message === shown.at(-1));
  }

  function add(message) {
    const turn = createTurn(message, app, acts);
    turns.set(message.id, turn);
    observer.observe(turn.element);
    return turn;
  }

  function drop(id, turn) {
    observer.unobserve(turn.element);
    turn.leave();
    turn.element.remove();
    turns.delete(id);
  }

  /** Paints the growing answer, once a frame however many pieces came. */
  function grow(id) {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      turns.get(id)?.grow();
      if (follows) toBottom();
    });
  }

  return {
    element: h("div.thread-frame", {}, scroller, toEnd),
    scroller,
    show,
    grow,
    jump,
    editLast: () => [...turns.values()].filter(({ message }) => message.role === "user").at(-1)?.edit(),
    unmount() {
      cancelAnimationFrame(frame);
      observer.disconnect();
      growth.disconnect();
      for (const turn of turns.values()) turn.leave();
    },
  };
}
