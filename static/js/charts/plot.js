import uPlot from "../../vendor/uplot/uplot.js";
import { h } from "../dom.js";

const AXIS_FONT = "11px system-ui, sans-serif";

/**
 * A plot in the page's colours, as wide as its place. What it shows is said in words as well, by `describe`.
 * @param {object} options
 * @param {string} options.title
 * @param {{ label: string, colour: string, fill?: boolean, dash?: number[], points?: boolean }[]} options.series `colour`
 *   is the name of a design token.
 * @param {number} [options.height] In px.
 * @param {boolean} [options.bare] Without axes and legend.
 * @param {boolean} [options.isTime] The x axis is a time in seconds since 1970.
 * @param {boolean} [options.isWhole] The y axis has whole numbers alone.
 * @param {(value: number) => string} options.say How a value of the y axis is written.
 * @param {(value: number) => string} [options.sayX]
 * @param {boolean} [options.hasValues] Whether the legend tells the last values.
 * @param {string} [options.xLabel]
 * @param {[number, number | null]} [options.range] Of the y axis; null grows with the values.
 * @param {number} [options.least] The end of an axis that grows, at least.
 * @param {(data: (number | null)[][]) => string} [options.describe]
 */
export function createPlot(options) {
  const { title, height = 180, bare = false } = options;
  useStyle();
  const canvas = h("div.plot-canvas", { role: "img", "aria-label": title });
  const legend = createLegend(options);
  const element = h("figure.plot", {}, !bare && h("figcaption", {}, h("span.plot-title", {}, title), legend.element), canvas);
  let plot = null;
  let data = [[], ...options.series.map(() => [])];
  let window_ = null;

  const draw = () => {
    const width = Math.floor(canvas.clientWidth);
    if (width === 0) return;
    if (!plot) plot = new uPlot(uplotOptions(options, width, height), data, canvas);
    else if (plot.width !== width) plot.setSize({ width, height });
    plot.setData(data, false);
    plot.setScale("x", window_ ?? extent(data[0]));
  };
  const sizes = new ResizeObserver(draw);
  sizes.observe(canvas);
  const leaveTheme = onThemeChange(() => plot?.redraw(false));

  return {
    element,
    /** @param {(number | null)[][]} next @param {{ min: number, max: number }} [shown] What the x axis shows; all, if not given. */
    show(next, shown) {
      data = next;
      window_ = shown ?? null;
      legend.update(data);
      canvas.setAttribute("aria-label", options.describe ? `${title}: ${options.describe(data)}` : `${title}: ${legend.words()}`);
      draw();
    },
    destroy() {
      sizes.disconnect();
      leaveTheme();
      plot?.destroy();
    },
  };
}

function extent(xs) {
  const [min, max] = [xs[0] ?? 0, xs.at(-1) ?? 1];
  return min === max ? { min: min - 0.5, max: max + 0.5 } : { min, max };
}

function uplotOptions({ series, bare, isTime = false, isWhole = false, say, sayX, xLabel, range = [0, null], least = 0 }, width, height) {
  const [low, high] = range;
  return {
    width,
    height,
    padding: bare ? [4, 2, 2, 2] : [8, 24, 0, 0],
    legend: { show: false },
    cursor: { show: !bare, drag: { setScale: false }, points: { size: 6 }, y: false },
    select: { show: false },
    scales: {
      x: { time: isTime, auto: false },
      y: { range: (_plot, _min, max) => [low, high ?? Math.max(least, nextRound(max))] },
    },
    axes: bare ? [{ show: false }, { show: false }] : [xAxis(isTime, sayX, xLabel), yAxis(say, isWhole)],
    series: [{}, ...series.map((one) => seriesOptions(one, bare))],
  };
}

const seriesOptions = ({ label, colour, fill = false, dash, points = false }, bare) => ({
  label,
  stroke: () => token(colour),
  fill: fill ? () => `color-mix(in srgb, ${token(colour)} 14%, transparent)` : undefined,
  width: bare ? 1.5 : 2,
  dash,
  points: { show: points, size: 7, fill: () => token("--surface") },
  spanGaps: false,
});

const axis = {
  stroke: () => token("--ink-3"),
  font: AXIS_FONT,
  labelFont: AXIS_FONT,
  grid: { stroke: () => token("--line"), width: 1 },
  ticks: { stroke: () => token("--line"), width: 1, size: 4 },
};

const xAxis = (isTime, sayX, xLabel) => ({
  ...axis,
  label: xLabel,
  labelSize: xLabel ? 18 : 0,
  grid: { show: false },
  size: 28,
  ...(isTime ? { space: 70, values: (_plot, times, _axis, _space, stepS) => times.map((time) => clock(time, stepS < 60)) } : {}),
  ...(sayX ? { values: (_plot, values) => values.map((value) => (value === null ? null : sayX(value))) } : {}),
});

const yAxis = (say, isWhole) => ({
  ...axis,
  size: 62,
  space: 36,
  ...(isWhole ? { incrs: WHOLE_STEPS } : {}),
  values: (_plot, values) => values.map((value) => say(value)),
});

const WHOLE_STEPS = [...Array(9).keys()].flatMap((power) => [1, 2, 5].map((step) => step * 10 ** power));

/** @param {number} timeS @param {boolean} hasSeconds */
function clock(timeS, hasSeconds) {
  const parts = { hour: "2-digit", minute: "2-digit", ...(hasSeconds ? { second: "2-digit" } : {}), hourCycle: "h23" };
  return new Date(timeS * 1000).toLocaleTimeString(document.documentElement.lang, parts);
}

/** The next number of the form 1, 2 or 5 times a power of ten. */
function nextRound(max) {
  if (!(max > 0)) return 1;
  const unit = 10 ** Math.floor(Math.log10(max));
  return unit * ([1, 2, 5, 10].find((step) => step * unit >= max * 1.02) ?? 20);
}

function createLegend({ series, say, hasValues = true }) {
  const values = series.map(() => h("span.numbers", {}));
  const rows = series.map(({ label, colour, dash }, at) =>
    h("span.legend-row", {}, h("span.legend-mark", { class: dash ? "dashed" : "", style: { "--mark": `var(${colour})` } }), label, " ", values[at]),
  );
  let last = [];
  return {
    element: h("span.legend", {}, rows),
    update(data) {
      last = data.slice(1).map((column) => column.findLast((value) => value !== null));
      if (hasValues) values.forEach((value, at) => (value.textContent = last[at] === undefined ? "" : say(last[at])));
    },
    words: () => series.map(({ label }, at) => (last[at] === undefined ? label : `${label} ${say(last[at])}`)).join(", "),
  };
}

/** A colour of tokens.css as a canvas takes it: the one of the theme that is shown. */
function token(name) {
  probe.style.setProperty("color", `var(${name})`);
  if (!probe.isConnected) document.body.append(probe);
  return getComputedStyle(probe).color;
}

const probe = h("span", { hidden: true });

function onThemeChange(redraw) {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const chosen = new MutationObserver(redraw);
  dark.addEventListener("change", redraw);
  chosen.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  return () => {
    dark.removeEventListener("change", redraw);
    chosen.disconnect();
  };
}

/** uPlot's own rules are loaded with the first plot, not with the page. */
function useStyle() {
  const href = new URL("../../vendor/uplot/uplot.css", import.meta.url).href;
  if (![...document.styleSheets].some((sheet) => sheet.href === href) && !document.querySelector(`link[href="${href}"]`)) {
    document.head.append(h("link", { rel: "stylesheet", href }));
  }
}
