// The last rounds as a row of tiles: how each ended, and how long its certificate took.

import { el } from "../dom.js";
import { ROUND_WORDS, span } from "../format.js";

/** Rows oldest to newest; each tile links to its round. Heights are latencies, within the slot. */
export function strip(rows, network) {
  const slotMs = network.status?.slot_ms ?? 1;
  const known = rows.map((row) => network.latencyMs(row)).filter(Number.isFinite);
  const longest = Math.max(1, ...known);
  return el(
    "ol",
    {
      class: "strip",
      "aria-label": `The last ${rows.length} rounds, oldest first; slots of ${span(slotMs)}`,
    },
    rows.map((row) => {
      const latency = network.latencyMs(row);
      const words = ROUND_WORDS[row.state] ?? "unknown";
      const label = `Round ${row.round}: ${words}${Number.isFinite(latency) ? ` after ${span(latency)}` : ""}`;
      const height =
        row.state === "certified" ? (Number.isFinite(latency) ? 25 + (75 * latency) / longest : 25) : 100;
      const bar = el("span", { class: "tile", "data-state": row.state, style: { height: `${height}%` } });
      return el(
        "li",
        {},
        el(
          "a",
          { href: `#/rounds/${row.round}`, title: label, "data-key": `round-${row.round}-${row.shard}` },
          bar,
          el("span", { class: "unseen" }, label),
        ),
      );
    }),
  );
}

/** The word of a round's state, with a mark that needs no colour. */
export function stateWord(state) {
  const mark = { certified: "\u2713", void: "\u00d7", reported: "\u2026", open: "\u2026" }[state] ?? "?";
  return el(
    "span",
    { class: "state", "data-state": state },
    el("span", { class: "mark-of", "aria-hidden": "true" }, mark),
    ROUND_WORDS[state] ?? "unknown",
  );
}
