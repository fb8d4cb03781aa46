// What the encoders sent in rounds this node dealt, against the 4,096 bytes that a vector has.

import { el } from "../dom.js";
import { bytes, counted, percent, plural, short } from "../format.js";

const VECTOR_BYTES = 4096;
const SHOWN_MAX = 64;

/** [{round, vectors, encoders: [{key, bytes}]}] of the rounds whose steps say what was received. */
export function trafficOf(details) {
  const rounds = [];
  for (const detail of details) {
    for (const shard of detail?.shards ?? []) {
      const views = Number(
        /^(\d+) views$/.exec(shard.steps.find((step) => step.step === "dealt")?.detail ?? "")?.[1],
      );
      const revealed = new Set(shard.steps.find((step) => step.step === "revealed")?.answered ?? []);
      const encoders = shard.steps
        .filter((step) => step.step === "received")
        .flatMap((step) =>
          step.answered.map((key) => ({ key, bytes: Number(/^(\d+) bytes$/.exec(step.detail)?.[1]) })),
        )
        .filter((one) => revealed.has(one.key) && Number.isFinite(one.bytes));
      if (views && encoders.length) rounds.push({ round: detail.round, vectors: views, encoders });
    }
  }
  return rounds;
}

/** Bars of bytes a vector, one an encoder, the line at 4,096; and the rounds' totals. */
export function traffic(rounds) {
  if (!rounds.length)
    return el(
      "p",
      { class: "soft" },
      "This node has not dealt a round lately: who deals measures what the encoders send.",
    );
  const each = new Map();
  for (const round of rounds) {
    for (const one of round.encoders)
      each.set(one.key, [...(each.get(one.key) ?? []), one.bytes / round.vectors]);
  }
  const rows = [...each]
    .map(([key, values]) => ({ key, each: median(values) }))
    .sort((a, b) => b.each - a.each)
    .slice(0, SHOWN_MAX);
  const widest = Math.max(VECTOR_BYTES * 1.15, ...rows.map((row) => row.each));
  const perRound = median(rounds.map((round) => round.encoders.reduce((sum, one) => sum + one.bytes, 0)));
  const perVector = median(rounds.flatMap((round) => round.encoders.map((one) => one.bytes / round.vectors)));
  const line = (row) =>
    el(
      "li",
      {},
      el(
        "a",
        { class: "mono", href: `#/encoders/${row.key}`, "data-key": `traffic-${row.key}` },
        short(row.key),
      ),
      el(
        "span",
        { class: "track", "aria-hidden": "true" },
        el("span", { class: "fill", style: { width: `${(100 * row.each) / widest}%` } }),
        el("span", { class: "ideal", style: { left: `${(100 * VECTOR_BYTES) / widest}%` } }),
      ),
      el("span", { class: "right" }, `${counted(row.each)} B`),
    );
  return [
    el(
      "p",
      { class: "soft" },
      `${bytes(perRound)} a round from ${plural(rows.length, "encoder")}, ${counted(perVector)} B a vector of 4,096 B (${percent(perVector / VECTOR_BYTES - 1, 1)} beside it): medians of ${plural(rounds.length, "round")} dealt here. The mark is at 4,096 B. Equal answers of several encoders travel once.`,
    ),
    el("ol", { class: "traffic", "aria-label": "Bytes a vector, by encoder" }, rows.map(line)),
  ];
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}
