// One shard-round as lanes over its slot: what took how long, who was awaited and answered.

import { el } from "../dom.js";
import { plural, span } from "../format.js";

const LANES = [
  ["wave-1", "Wave 1", "one mask of each item"],
  ["wave-2", "Wave 2", "the inverses"],
  ["wave-3", "Wave 3", "full items"],
  ["reveal", "Reveals", "answers are opened"],
  ["report", "Scoring", "the dealer's report"],
  ["certificate", "Certificate", "2/3 of the stake"],
];

/** What is known of each lane: {name: {from, to, answered, missing, state}} in ms since the slot began. */
export function lanesOf(steps, startsMs) {
  const lanes = {};
  const close = (name, step, from) => {
    const to = step.at_ms - startsMs;
    lanes[name] = {
      from: Math.max(0, from ?? to - step.elapsed_ms),
      to,
      answered: size(step.answered),
      missing: size(step.missing),
    };
  };
  for (const step of steps) {
    if (step.step === "dealt") lanes.dealt = step.at_ms - startsMs;
    else if (step.step === "locked") close(`wave-${step.wave}`, step);
    else if (step.step === "revealed") close("reveal", step);
    else if (step.step === "reported") close("report", step);
    else if (step.step === "certified") close("certificate", step, lanes.report?.to ?? 0);
    else if (step.step === "void") lanes.void = step.detail || "void";
    else if (step.step === "attested") lanes.attested = step.at_ms - startsMs;
  }
  return lanes;
}

function size(list) {
  return Array.isArray(list) ? list.length : (list ?? 0);
}

/** The lane that is under way, by what is closed already; null where nothing is known or all is over. */
export function openLane(lanes) {
  if (lanes.void || lanes.certificate) return null;
  if (lanes.report) return "certificate";
  if (lanes.dealt === undefined) return lanes.attested === undefined ? null : "certificate";
  return LANES.map(([name]) => name).find((name) => !lanes[name]) ?? null;
}

/** When the open lane began, in ms since the slot did. */
function openedAt(lanes, name) {
  const before = LANES[LANES.findIndex(([one]) => one === name) - 1];
  return (before && lanes[before[0]]?.to) ?? lanes.dealt ?? lanes.attested ?? 0;
}

/** The lanes as a list; `tick` moves the end of the lane under way. */
export function timeline(shard, { startsMs, slotMs, now }) {
  const lanes = lanesOf(shard.steps, startsMs);
  const running = shard.state === "open" || shard.state === "reported" ? openLane(lanes) : null;
  const last = Math.max(0, ...LANES.map(([name]) => lanes[name]?.to ?? 0));
  // A local round takes a fraction of its slot: the scale follows what happened, rounded up, not the slot.
  const scale = (length) =>
    running ? Math.max(length, Math.min(slotMs, niceAbove(last))) : niceAbove(last || slotMs);
  const rows = LANES.map(([name, title, about]) => lane(name, title, about, lanes[name], name === running));
  // Reveals go to the dealer alone: others hear of them by its report.
  const unseen = lanes.report && !lanes.reveal && rows.find((row) => row.name === "reveal");
  if (unseen) unseen.took.textContent = "told with the report";
  const list = el(
    "ol",
    { class: "lanes", "aria-label": "Steps of the round" },
    rows.map((row) => row.node),
  );
  const axis = el(
    "div",
    { class: "axis", "aria-hidden": "true" },
    el("span", {}, "0 s"),
    el("span", {}),
    el("span", {}),
  );
  const place = (moment) => {
    const reached = Math.max(0, moment - startsMs);
    const width = scale(running ? niceAbove(reached) : last);
    axis.children[1].textContent = `${(width / 2000).toFixed(1)} s`;
    axis.children[2].textContent = `${(width / 1000).toFixed(1)} s`;
    for (const row of rows) {
      const known = lanes[row.name];
      const from = known ? known.from : row.name === running ? openedAt(lanes, running) : 0;
      const to = known ? known.to : row.name === running ? Math.max(from, reached) : 0;
      row.bar.style.setProperty("left", `${(100 * from) / width}%`);
      row.bar.style.setProperty("width", `${(100 * Math.max(0, to - from)) / width}%`);
      if (row.name === running) row.took.textContent = span(to - from);
    }
  };
  place(now);
  const tick = (moment) => running && moment - startsMs < 2 * slotMs && place(moment);
  return { node: el("div", { class: "timeline" }, list, axis), tick };
}

function lane(name, title, about, known, running) {
  const state = known ? (known.missing ? "short" : "done") : running ? "running" : "ahead";
  const asked = known ? known.answered + known.missing : 0;
  const answers =
    !known || !asked
      ? ""
      : name === "certificate"
        ? plural(known.answered, "signature")
        : `${known.answered} of ${asked}`;
  const bar = el("span", { class: "fill" });
  const took = el("span", { class: "took" }, known ? span(known.to - known.from) : "");
  const node = el(
    "li",
    { class: "lane", "data-state": state, "data-lane": name },
    el("span", { class: "lane-name" }, title, " ", el("span", { class: "soft small" }, about)),
    el("span", { class: "track", "aria-hidden": "true" }, bar),
    el(
      "span",
      { class: "lane-facts" },
      took,
      el("span", { class: known?.missing ? "alarm" : "soft" }, running ? "under way" : answers),
    ),
  );
  return { name, node, bar, took };
}

function niceAbove(ms) {
  for (let unit = 100; ; unit *= 10) {
    for (const step of [1, 2, 3, 4, 5, 6, 8]) if (unit * step >= ms * 1.02) return unit * step;
  }
}
