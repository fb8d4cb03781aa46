// A line over rounds, in SVG: drawn in units of the data, labelled in HTML so that words keep their size.

import { el, svg } from "../dom.js";
import { decimal } from "../format.js";

const WIDTH = 300;
const HEIGHT = 100;

/**
 * `points`: [{x, y}] in order of x, y may be null; `floor` and `ceiling` bound the scale at least. With `gate`
 * {zero, one} of y the part where the gate is closed is shaded.
 */
export function chart({
  title,
  about,
  points,
  floor = 0,
  ceiling = 0,
  digits = 2,
  tall = false,
  format = null,
  unit = "round",
}) {
  const said = format ?? ((value) => decimal(value, digits));
  const known = points.filter((point) => Number.isFinite(point.y));
  const newest = known.at(-1);
  const head = el(
    "figcaption",
    {},
    el("span", { class: "chart-name" }, title),
    el("span", { class: "chart-value" }, newest ? said(newest.y) : "\u2013"),
    about ? el("span", { class: "soft small chart-about" }, about) : "",
  );
  if (known.length < 2)
    return el(
      "figure",
      { class: "chart" },
      head,
      el("p", { class: "soft small" }, known.length ? `One ${unit} so far.` : "No value yet."),
    );
  const [low, high] = [
    Math.min(floor, ...known.map((one) => one.y)),
    Math.max(ceiling, ...known.map((one) => one.y)) || 1,
  ];
  const [first, last] = [points[0].x, points.at(-1).x];
  const x = (value) => (WIDTH * (value - first)) / Math.max(1, last - first);
  const y = (value) => HEIGHT - (HEIGHT * (value - low)) / (high - low || 1);
  const path = known
    .map((one, index) => `${index ? "L" : "M"}${x(one.x).toFixed(2)} ${y(one.y).toFixed(2)}`)
    .join("");
  const label = `${title}, ${unit}s ${first} to ${last}: from ${said(known[0].y)} to ${said(newest.y)}, least ${said(Math.min(...known.map((one) => one.y)))}, most ${said(Math.max(...known.map((one) => one.y)))}`;
  const drawing = svg(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label },
    svg("path", {
      class: "area",
      d: `${path}L${x(newest.x).toFixed(2)} ${HEIGHT}L${x(known[0].x).toFixed(2)} ${HEIGHT}Z`,
    }),
    svg("path", { class: "line", d: path, "vector-effect": "non-scaling-stroke" }),
  );
  const scale = el(
    "div",
    { class: "scale", "aria-hidden": "true" },
    el("span", {}, said(high)),
    el("span", {}, said(low)),
  );
  return el(
    "figure",
    { class: tall ? "chart tall" : "chart" },
    head,
    el("div", { class: "plot" }, drawing, scale),
    el(
      "p",
      { class: "ends soft small", "aria-hidden": "true" },
      el("span", {}, `${unit} ${first}`),
      el("span", {}, `${last}`),
    ),
  );
}
