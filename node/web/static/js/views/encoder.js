// One encoder: its score, its weight and every term, over rounds; its reputation, over epochs.

import { el, fill } from "../dom.js";
import { get } from "../api.js";
import { clipped, counted, decimal, percent, short } from "../format.js";
import { Loaded } from "../load.js";
import { chart } from "../parts/chart.js";
import { TERMS } from "../parts/terms.js";

const ROUNDS = 100;
const EPOCHS = 12;
const PPM = 1e6;
// Each epoch's document holds its whole table: of a large network only the newest few are asked for.
const LARGE = 256;
const EPOCHS_OF_LARGE = 3;

export function encoderView(place, network, key) {
  const head = el("div", {});
  const body = el("div", {});
  place.append(el("p", { class: "crumb" }, el("a", { href: "#/encoders" }, "Encoders")), head, body);
  const loaded = new Loaded(`/v1/encoders/${key}?rounds=${ROUNDS}`, update);
  const reputations = new Map(); // epoch -> reputation
  let reading = false;
  let ended = false;

  /** Reputation, epoch by epoch back from the newest: each epoch is asked for once. */
  async function readReputations(newest) {
    if (reading || reputations.has(newest)) return;
    reading = true;
    try {
      let epochs = EPOCHS;
      for (let epoch = newest; epoch >= 0 && epoch > newest - epochs && !ended; epoch -= 1) {
        if (reputations.has(epoch)) continue;
        const { table } = await get(`/v1/epochs/${epoch}`);
        if (!table) break;
        if (table.length > LARGE) epochs = EPOCHS_OF_LARGE;
        reputations.set(epoch, (table.find((one) => one.public_key === key)?.reputation_ppm ?? NaN) / PPM);
      }
    } catch {
      // said by the rest of the page, or kept no longer
    }
    reading = false;
    if (!ended) update();
  }

  function update() {
    loaded.want(`${network.epochEvents}-${network.status?.last_certified_round}`);
    const found = loaded.value;
    fill(head, [found?.model, found?.probation], () => [
      el("h1", {}, "Encoder ", el("span", { class: "mono" }, short(key))),
      el(
        "p",
        { class: "soft" },
        found?.model ? `It says that it runs ${clipped(found.model, 80)}.` : "",
        found?.probation ? " It is on probation: judged, without weight." : "",
      ),
      el("p", { class: "mono small soft break" }, key),
    ]);
    if (!found) {
      fill(body, loaded.failure?.message ?? "", () =>
        el("p", { class: "waiting" }, loaded.failure?.message ?? "Loading the encoder"),
      );
      return;
    }
    readReputations(found.epoch);
    const epochs = [...reputations].sort((a, b) => a[0] - b[0]).map(([x, y]) => ({ x, y }));
    fill(body, [found, epochs], () => [figures(found), over(found, epochs)]);
  }

  return {
    update,
    destroy: () => {
      ended = true;
      loaded.end();
    },
  };
}

function figures(found) {
  const facts = [
    ["Score", decimal(found.score, 3), "mean of 20 rounds"],
    ["Weight", percent(found.weight, 1), "of the consensus"],
    ["LOF", decimal(found.lof), "newest round"],
    ["Reputation", decimal(found.reputation, 3), "running average"],
    ["Stake", counted(found.stake), "bonded"],
    [
      "Rounds",
      counted(found.rounds),
      found.last_round === null ? "none scored" : `last ${counted(found.last_round)}`,
    ],
  ];
  return el(
    "dl",
    { class: "figures" },
    facts.map(([name, value, about]) =>
      el(
        "div",
        {},
        el("dt", {}, name),
        el("dd", {}, el("span", { class: "value" }, value), el("span", { class: "soft small" }, about)),
      ),
    ),
  );
}

function over(found, epochs) {
  const history = [...found.history].sort((a, b) => a.round - b.round || a.shard - b.shard);
  if (!history.length)
    return el(
      "p",
      { class: "waiting" },
      "It has not been scored yet: its curves begin with its first certified round.",
    );
  const series = (value) => history.map((row) => ({ x: row.round, y: value(row) }));
  return [
    el(
      "div",
      { class: "charts two" },
      chart({ title: "Score", points: series((row) => row.score), digits: 3, tall: true }),
      chart({
        title: "Weight",
        points: series((row) => row.weight),
        tall: true,
        format: (value) => percent(value, 1),
      }),
    ),
    el("h2", { class: "charts-title" }, "Terms of the score"),
    el(
      "div",
      { class: "charts" },
      TERMS.map(([name, , title, about]) =>
        chart({ title, about, points: series((row) => row.terms?.[name]) }),
      ),
      chart({
        title: "Reputation",
        about: "by epochs; steers sampling",
        points: epochs,
        digits: 3,
        unit: "epoch",
      }),
    ),
  ];
}
