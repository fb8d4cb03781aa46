// Encoders: who is scored how, and by which terms.

import { el, fill } from "../dom.js";
import { clipped, counted, decimal, percent, plural, short } from "../format.js";
import { LoadedPage } from "../load.js";
import { bar, TERMS, termBars } from "../parts/terms.js";
import { sortable } from "../parts/table.js";

export function encodersView(place, network) {
  const order = { key: "score", down: true };
  const intro = el("p", { class: "soft lead" });
  const table = el("div", {});
  const listed = el("p", { class: "soft", tabindex: "-1", role: "status" });
  const turner = (words, forward) =>
    el("button", { type: "button", disabled: true, on: { click: () => turn(forward) } }, words);
  const back = turner("Previous encoders", false);
  const on = turner("Next encoders", true);
  const pages = el(
    "nav",
    { class: "more", hidden: true, "aria-label": "Pages of encoders" },
    listed,
    back,
    on,
  );
  const legend = el(
    "dl",
    { class: "legend" },
    TERMS.map(([, letter, name, about]) =>
      el(
        "div",
        {},
        el("dt", {}, letter),
        el("dd", {}, el("strong", {}, name), " ", el("span", { class: "soft" }, about)),
      ),
    ),
  );
  place.append(
    el("h1", {}, "Encoders"),
    intro,
    table,
    pages,
    el(
      "section",
      { class: "apart", "aria-labelledby": "legend-title" },
      el("h2", { id: "legend-title" }, "What the bars say"),
      el(
        "p",
        { class: "soft lead" },
        "The score is G, times gates that are open (full) for honest work and close on a way to fake it. A mark under a bar says that its gate holds the score back.",
      ),
      legend,
    ),
  );
  const loaded = new LoadedPage("/v1/encoders", "encoders", update);
  const version = () => `${network.epochEvents}-${network.status?.last_certified_round}`;

  async function turn(forward) {
    back.disabled = on.disabled = true; // until it is here: two presses are one
    await loaded.turn(forward, version());
    ends();
    // Whoever used the keyboard stays where pages are turned.
    const pressed = forward ? on : back;
    if (pressed.disabled) listed.focus({ preventScroll: true });
    else pressed.focus({ preventScroll: true });
  }

  /** Both stay where they are, so that a second press is never one of the other. */
  function ends() {
    on.disabled = !loaded.value?.next_after;
    back.disabled = !loaded.value?.first;
  }

  function update() {
    loaded.want(version());
    const found = loaded.value;
    if (!found) {
      fill(table, loaded.failure?.message ?? "", () =>
        el("p", { class: "waiting" }, loaded.failure?.message ?? "Loading the encoders"),
      );
      return;
    }
    const weightiest = Math.max(1e-9, ...found.encoders.map((one) => one.weight ?? 0));
    const best = Math.max(1e-9, ...found.encoders.map((one) => one.score ?? 0));
    const probation = found.encoders.filter((one) => one.probation).length;
    const count = found.encoders.length;
    const total = found.total ?? count;
    const modality = network.status ? ` All embed ${clipped(network.status.modality, 20)}.` : "";
    intro.textContent = `${plural(total, "encoder")} in epoch ${counted(found.epoch)}${probation ? `, ${counted(probation)}${count < total ? " of those listed" : ""} on probation` : ""}.${modality} Scores and weights are means over the last 20 scored rounds.`;
    const words =
      count < total
        ? `Encoders ${counted(found.first + 1)} to ${counted(found.first + count)} of ${counted(total)}, in the order of their keys; sorted among themselves.`
        : "";
    if (listed.textContent !== words) listed.textContent = words;
    pages.hidden = !words;
    if (!loaded.asking) ends();
    fill(table, [found, order], () =>
      found.encoders.length
        ? sortable({
            caption: "Encoders of this epoch",
            columns: columnsOf(best, weightiest),
            rows: found.encoders,
            order,
            rowKey: (row) => row.public_key,
            onOrder: update,
          })
        : el(
            "p",
            { class: "waiting" },
            "No encoder is a member yet: one joins with `deltamesh run encoder`.",
          ),
    );
  }

  return { update, destroy: () => loaded.end() };
}

function columnsOf(best, weightiest) {
  return [
    { key: "key", title: "Encoder", value: (row) => row.public_key, cell: name },
    {
      key: "score",
      title: "Score",
      value: (row) => row.score,
      cell: (row) => bar(decimal(row.score, 3), row.score / best),
    },
    {
      key: "terms",
      title: "Terms",
      wide: true,
      about: "Sorts by discrimination",
      value: (row) => row.terms?.discrimination,
      cell: (row) => (row.terms ? termBars(row.terms) : el("span", { class: "soft" }, "not scored yet")),
    },
    {
      key: "lof",
      title: "LOF",
      right: true,
      wide: true,
      about: "Local outlier factor",
      value: (row) => row.lof,
      cell: (row) => decimal(row.lof),
    },
    {
      key: "weight",
      title: "Weight",
      value: (row) => row.weight,
      cell: (row) => bar(percent(row.weight, 1), row.weight / weightiest),
    },
    {
      key: "reputation",
      title: "Reputation",
      right: true,
      wide: true,
      value: (row) => row.reputation,
      cell: (row) => decimal(row.reputation, 3),
    },
    {
      key: "stake",
      title: "Stake",
      right: true,
      wide: true,
      value: (row) => row.stake,
      cell: (row) => counted(row.stake),
    },
    {
      key: "last",
      title: "Last round",
      right: true,
      wide: true,
      wider: true,
      value: (row) => row.last_round,
      cell: (row) =>
        row.last_round === null || row.last_round === undefined
          ? "\u2013"
          : el(
              "a",
              { href: `#/rounds/${row.last_round}`, "data-key": `last-${row.public_key}` },
              counted(row.last_round),
            ),
    },
  ];
}

function name(row) {
  const model = clipped(row.model, 40);
  return el(
    "span",
    { class: "who" },
    el(
      "a",
      { class: "mono", href: `#/encoders/${row.public_key}`, "data-key": `encoder-${row.public_key}` },
      short(row.public_key),
    ),
    model ? el("span", { class: "soft small model" }, model) : "",
    row.probation ? el("span", { class: "tag" }, "probation") : "",
  );
}
