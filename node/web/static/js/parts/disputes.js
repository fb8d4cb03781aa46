// Disputes: who refuses which report, in which term, whose, by how much.

import { el } from "../dom.js";
import { clipped, short } from "../format.js";

const PPM = 1e6;

/** A list of disputes, newest first. */
export function disputeList(disputes) {
  return el(
    "ul",
    { class: "findings" },
    disputes.map((one) => el("li", {}, sentence(one))),
  );
}

function sentence(one) {
  const whose = one.encoder
    ? [
        " of encoder ",
        el("a", { class: "mono", href: `#/encoders/${clipped(one.encoder, 64)}` }, short(one.encoder)),
      ]
    : "";
  // INCOMPARABLE_PPM and above: the two have nothing to subtract.
  const apart = one.difference_ppm
    ? `: ${(one.difference_ppm / PPM).toFixed(6)} apart, ${(one.tolerance_ppm / PPM).toFixed(3)} allowed`
    : "";
  return [
    el("span", { class: "mono" }, short(one.disputer)),
    " refuses the report of ",
    el("a", { href: `#/rounds/${one.round}` }, `round ${one.round}`),
    " in ",
    el("strong", {}, clipped(one.term, 60) || "a term it does not name"),
    whose,
    apart,
    ".",
  ];
}
