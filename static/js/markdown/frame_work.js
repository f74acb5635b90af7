/**
 * Work in steps that a page does a few ms of in each frame, whoever it is for: however many answers are being rendered, the page
 * scrolls and takes keys meanwhile.
 */

/** Time in ms that all steps of one frame may take together. A screen that is drawn 60 times a second has 16 ms a frame. */
const SLICE_MS = 8;

/** @typedef {(deadline: number) => boolean} Step Works until about `deadline` (of `performance.now()`); true: there is more. */

/** @type {Set<Step>} */
const waiting = new Set();
let deadline = 0;
let frame = 0;
let isRunning = false;

/** Does a step: now, if this frame has time left, else in one of the next. At least one step is done a frame. @param {Step} step */
export function work(step) {
  waiting.add(step);
  if (!frame) begin();
  if (!isRunning) run();
}

/** @param {Step} step It is not done any more. */
export const drop = (step) => waiting.delete(step);

function begin() {
  deadline = performance.now() + SLICE_MS;
  frame = requestAnimationFrame(next);
}

function next() {
  frame = 0;
  if (!waiting.size) return;
  begin();
  run();
}

/** A step that is not done yet goes to the end of the line. */
function run() {
  isRunning = true;
  try {
    for (const step of waiting) {
      if (performance.now() >= deadline) break;
      waiting.delete(step);
      if (step(deadline)) waiting.add(step);
    }
  } finally {
    isRunning = false;
  }
}
