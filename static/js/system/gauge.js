import { h } from "../dom.js";

const SVG = "http://www.w3.org/2000/svg";
const RADIUS = 42;
/** Three quarters of a circle, open at the foot. */
const ARC = 2 * Math.PI * RADIUS * 0.75;

/**
 * A dial from 0 to 1 with words in its middle.
 * @param {{ label: string }} options What is measured, for screen readers.
 */
export function createGauge({ label }) {
  const fill = arc("gauge-fill");
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 100 100");
  svg.setAttribute("aria-hidden", "true");
  svg.append(arc("gauge-track"), fill);
  const words = h("span.gauge-words.numbers");
  const element = h(
    "div.gauge",
    { role: "meter", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": 0 },
    svg,
    words,
  );
  return {
    element,
    /** @param {number} share 0 to 1 @param {string} text In the middle. @param {string} [long] For screen readers. */
    set(share, text, long = text) {
      const part = Math.max(0, Math.min(1, share));
      fill.setAttribute("stroke-dasharray", `${(part * ARC).toFixed(2)} 1000`);
      fill.setAttribute("class", `gauge-fill${part >= 0.9 ? " high" : ""}`);
      words.textContent = text;
      element.setAttribute("aria-valuenow", String(Math.round(part * 100)));
      element.setAttribute("aria-valuetext", long);
    },
  };
}

function arc(name) {
  const circle = document.createElementNS(SVG, "circle");
  for (const [key, value] of Object.entries({ cx: 50, cy: 50, r: RADIUS, transform: "rotate(135 50 50)" })) circle.setAttribute(key, String(value));
  circle.setAttribute("stroke-dasharray", name === "gauge-track" ? `${ARC.toFixed(2)} 1000` : "0 1000");
  circle.setAttribute("class", name);
  return circle;
}
