// Who answered which wave, who did not, who was late: encoders down, steps across.

import { el } from "../dom.js";
import { plural, short } from "../format.js";

const COLUMNS = [
  ["Wave 1", (step) => step.step === "locked" && step.wave === 1],
  ["Wave 2", (step) => step.step === "locked" && step.wave === 2],
  ["Wave 3", (step) => step.step === "locked" && step.wave === 3],
  ["Reveal", (step) => step.step === "revealed"],
];
const SHOWN_MAX = 64;

/** The table, or null where this node did not see the waves. */
export function answers(shard) {
  const steps = shard.steps;
  const members = new Set();
  for (const step of steps) {
    const counts = step.step === "dealt" || COLUMNS.some(([, is]) => is(step));
    if (counts && Array.isArray(step.answered))
      for (const key of [...step.answered, ...step.missing]) members.add(key);
  }
  if (!members.size) return null;
  const late = new Set(steps.filter((step) => step.step === "late").flatMap((step) => step.answered));
  // Reveals go to the dealer alone: once another's report is here, nothing more is heard of them.
  const untold =
    steps.some((step) => step.step === "reported") && !steps.some((step) => step.step === "revealed");
  const columns = untold ? COLUMNS.slice(0, -1) : COLUMNS;
  const closed = columns.map(([, is]) => steps.find((step) => is(step) && Array.isArray(step.answered)));
  const keys = [...members].sort().slice(0, SHOWN_MAX);
  const cell = (step, key) => {
    if (!step)
      return el(
        "td",
        { class: "soft" },
        el("span", { class: "tick", "data-state": "ahead" }),
        el("span", { class: "unseen" }, "not yet"),
      );
    const came = step.answered.includes(key);
    return el(
      "td",
      {},
      el(
        "span",
        { class: "tick", "data-state": came ? "yes" : "no", "aria-hidden": "true" },
        came ? "\u2713" : "\u00d7",
      ),
      el("span", { class: "unseen" }, came ? "answered" : "missing"),
    );
  };
  const row = (key) =>
    el(
      "tr",
      {},
      el(
        "th",
        { scope: "row" },
        el("a", { class: "mono", href: `#/encoders/${key}`, "data-key": `answer-${key}` }, short(key)),
        late.has(key) ? el("span", { class: "alarm small" }, " late") : "",
      ),
      closed.map((step) => cell(step, key)),
    );
  return [
    el(
      "table",
      { class: "answers" },
      el("caption", { class: "unseen" }, "Who answered"),
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          el("th", { scope: "col" }, "Encoder"),
          columns.map(([name]) => el("th", { scope: "col" }, name)),
        ),
      ),
      el("tbody", {}, keys.map(row)),
    ),
    members.size > SHOWN_MAX
      ? el("p", { class: "soft small" }, `and ${plural(members.size - SHOWN_MAX, "encoder")} more`)
      : "",
  ];
}
