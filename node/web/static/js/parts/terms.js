// A score's terms as small bars: the discrimination that is scored, the availability, and the gates.

import { el } from "../dom.js";
import { decimal } from "../format.js";

export const TERMS = [
  ["discrimination", "G", "Discrimination", "does a mask find its own inverse among others"],
  ["availability", "A", "Availability", "share of valid answers"],
  ["differential", "R", "Differential loss", "do the parts recompose the whole; 0 is perfectly, 1 is chance"],
  ["local_outlier_factor", "LOF", "Local outlier factor", "how far from its peers; 1 is amid them"],
  ["majority_similarity", "MS", "Majority similarity", "cosine to the peer at the majority's edge"],
  ["innovation", "IN", "Innovation", "does a fragment say something of its own"],
  ["leak", "L", "Leak", "does a fragment know the other half"],
];

/** How open a term's gate is, from 0 (out) to 1; the value itself where a term has no gate. */
export function opening(terms, name) {
  const gate = terms?.[`${name}_ramp`];
  const value = gate ?? (name === "discrimination" || name === "availability" ? terms?.[name] : null);
  return Number.isFinite(value) ? Math.min(1, Math.max(0, value)) : null;
}

/** Bars side by side; a gate that is not open is marked, in words too. */
export function termBars(terms) {
  const closed = TERMS.filter(
    ([name]) => terms?.[`${name}_ramp`] !== undefined && (opening(terms, name) ?? 1) < 0.995,
  );
  const words = closed.length
    ? `held back by ${closed.map(([, short]) => short).join(", ")}`
    : "all gates open";
  const title = TERMS.map(([name, short]) => `${short} ${decimal(terms?.[name])}`).join("  ");
  return el(
    "span",
    { class: "terms", title },
    TERMS.map(([name, short]) => {
      const open = opening(terms, name);
      const gated = closed.some(([one]) => one === name);
      return el(
        "span",
        { class: "term", "aria-hidden": "true", "data-gated": gated },
        el("span", { class: "well" }, el("span", { style: { height: `${Math.round(100 * (open ?? 0))}%` } })),
        el("span", { class: "term-name" }, short),
      );
    }),
    el("span", { class: "unseen" }, `${title}; ${words}`),
  );
}

/** A number with a bar behind its line: `share` from 0 to 1. */
export function bar(text, share) {
  const width = Number.isFinite(share) ? Math.round(100 * Math.min(1, Math.max(0, share))) : 0;
  return el(
    "span",
    { class: "measure" },
    el("span", {}, text),
    el("span", { class: "beam", "aria-hidden": "true" }, el("span", { style: { width: `${width}%` } })),
  );
}
