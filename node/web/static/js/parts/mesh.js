// The mesh as this node sees it: itself in the middle, validators around it, encoders outside.

import { el, svg } from "../dom.js";
import { clipped, plural, short } from "../format.js";

const SIZE = 640;
const MIDDLE = SIZE / 2;
const INSET = 28;
const RINGS = { validator: 130, encoder: 255 };
const DRAWN_MAX = 160;

/**
 * `members`: [{key, role, connected, mark}] with mark "answered", "missing" or null; the one whose key is `me` is in
 * the middle. Beyond 160 the rest are counted.
 */
export function mesh(me, members) {
  const others = members.filter((one) => one.key !== me);
  const drawn = others.slice(0, DRAWN_MAX);
  const rings = Object.entries(RINGS).map(([role, radius]) =>
    placed(
      drawn.filter((one) => (one.role === "validator") === (role === "validator")),
      radius,
    ),
  );
  const all = rings.flat();
  const edges = all
    .filter((one) => one.connected)
    .map((one) =>
      svg("line", {
        class: "edge",
        "data-mark": one.mark ?? undefined,
        x1: MIDDLE,
        y1: MIDDLE,
        x2: one.x,
        y2: one.y,
        "vector-effect": "non-scaling-stroke",
      }),
    );
  const nodes = all.map((one) => node(one, all.length <= 40));
  const connected = all.filter((one) => one.connected).length;
  const label = `This validator is connected to ${connected} of ${plural(all.length, "member")}; the tables below name them.`;
  const picture = svg(
    "svg",
    {
      viewBox: `${INSET} ${INSET} ${SIZE - 2 * INSET} ${SIZE - 2 * INSET}`,
      class: "mesh",
      role: "img",
      "aria-label": label,
    },
    Object.values(RINGS).map((radius) =>
      svg("circle", { class: "orbit", cx: MIDDLE, cy: MIDDLE, r: radius }),
    ),
    edges,
    nodes,
    svg(
      "g",
      { class: "node", "data-role": "me", transform: `translate(${MIDDLE} ${MIDDLE})` },
      svg("title", {}, "this validator"),
      svg("rect", { x: -11, y: -11, width: 22, height: 22, rx: 5, transform: "rotate(45)" }),
      svg("text", { y: 34 }, "this node"),
    ),
  );
  return [
    picture,
    others.length > drawn.length
      ? el("p", { class: "soft small" }, `and ${plural(others.length - drawn.length, "peer")} more`)
      : "",
  ];
}

function placed(members, radius) {
  return members.map((one, index) => {
    const angle = (2 * Math.PI * (index + 0.5)) / members.length - Math.PI / 2;
    return { ...one, angle, x: MIDDLE + radius * Math.cos(angle), y: MIDDLE + radius * Math.sin(angle) };
  });
}

function node(one, named) {
  const shape =
    one.role === "validator"
      ? svg("rect", { x: -8, y: -8, width: 16, height: 16, rx: 4, transform: "rotate(45)" })
      : svg("circle", { r: 8 });
  const below = Math.sin(one.angle) > -0.2;
  const state = one.connected ? (one.mark === "missing" ? "did not answer" : "connected") : "not connected";
  return svg(
    "g",
    {
      class: "node",
      "data-role": one.role,
      "data-connected": one.connected,
      "data-mark": one.mark ?? undefined,
      transform: `translate(${one.x.toFixed(1)} ${one.y.toFixed(1)})`,
    },
    svg("title", {}, `${one.role} ${short(one.key)}, ${clipped(state, 40)}`),
    shape,
    named ? svg("text", { y: below ? 26 : -16 }, short(one.key)) : "",
  );
}
