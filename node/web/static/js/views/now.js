// Now: the round in progress, wave by wave, and how the last ones went.

import { el, fill } from "../dom.js";
import { counted, moment, percent, plural, short, span } from "../format.js";
import { answers } from "../parts/answers.js";
import { stateWord, strip } from "../parts/strip.js";
import { timeline } from "../parts/timeline.js";

const STRIP = 40;
const LISTED = 8;

export function nowView(place, network) {
  const headline = el("div", { class: "headline" });
  const facts = el("div", {});
  const waves = el("section", { class: "waves", "aria-labelledby": "waves-title" });
  const who = el("section", { "aria-labelledby": "who-title" });
  const past = el("section", { "aria-labelledby": "past-title" });
  place.append(el("div", { class: "now" }, headline, facts, el("div", { class: "pair" }, waves, who), past));
  let line = null;
  let countdown = null;

  function update() {
    const status = network.status;
    if (!status)
      return fill(headline, "waiting", () =>
        el("p", { class: "waiting" }, "Waiting for the node\u2019s first word"),
      );
    const round = status.round;
    const detail = network.followed(round);
    const row = network.row(round, 0);
    fill(headline, [round, row?.state, status.phase, status.epoch], () => head(status, row));
    fill(facts, [status.peers, network.recent(STRIP)], () => figures(network));
    const shards = detail?.shards ?? [];
    fill(waves, [round, shards, row?.state], () => {
      const made = shards.map((shard) =>
        timeline(shard, { startsMs: network.startsMs(round), slotMs: status.slot_ms, now: network.now() }),
      );
      line = made;
      return [
        el("h2", { id: "waves-title" }, "Waves of this round"),
        shards.length
          ? made.map((one, index) => [dealtBy(shards[index], shards.length, status), one.node])
          : empty(round),
      ];
    });
    fill(
      who,
      shards.map((shard) => shard.steps),
      () => {
        const tables = shards.map((shard) => answers(shard)).filter(Boolean);
        return [
          el("h2", { id: "who-title" }, "Who answered"),
          tables.length ? tables : el("p", { class: "soft" }, "Nobody was asked yet."),
        ];
      },
    );
    const recent = network.recent(STRIP);
    fill(past, recent, () => [
      el("h2", { id: "past-title" }, "Rounds before"),
      recent.length
        ? [strip([...recent].reverse(), network), listed(recent.slice(0, LISTED), network)]
        : el("p", { class: "soft" }, "No round is over yet."),
    ]);
  }

  function head(status, row) {
    countdown = el("span", {});
    const began = status.round >= 0;
    return [
      el(
        "h1",
        {},
        began
          ? [
              el("span", { class: "over" }, "Round"),
              " ",
              el("span", { class: "number" }, counted(status.round)),
            ]
          : "Before the first round",
      ),
      el(
        "div",
        { class: "beside" },
        el(
          "p",
          { class: "phase" },
          row ? stateWord(row.state) : began ? "not dealt yet" : "Genesis lies ahead",
        ),
        el("p", { class: "soft" }, `Epoch ${counted(status.epoch)}. `, countdown),
        el("div", { class: "slot", "aria-hidden": "true" }, el("span", {})),
      ),
    ];
  }

  function tick(now) {
    for (const one of line ?? []) one.tick(now);
    const status = network.status;
    if (!status || !countdown) return;
    const next = network.startsMs(status.round + 1);
    const left = Math.max(0, next - now);
    const text = left
      ? `Round ${counted(status.round + 1)} begins in ${Math.ceil(left / 1000)} s.`
      : "The next round begins.";
    if (countdown.textContent !== text) countdown.textContent = text;
    headline
      .querySelector(".slot span")
      ?.style.setProperty("width", `${100 * (1 - Math.min(1, left / status.slot_ms))}%`);
  }

  return { update, tick };
}

function dealtBy(shard, count, status) {
  const mine = shard.dealer === status.public_key;
  const name = shard.dealer
    ? mine
      ? "this validator"
      : el("span", { class: "mono" }, short(shard.dealer))
    : "nobody yet";
  return el(
    "p",
    { class: "soft" },
    count > 1 ? `Shard ${shard.shard}, dealt by ` : "Dealt by ",
    name,
    shard.items ? `, ${plural(shard.items, "item")}` : "",
  );
}

function empty(round) {
  return el(
    "p",
    { class: "soft" },
    round >= 0 ? "Nothing has been heard of this round yet." : "The first round begins with genesis.",
  );
}

function figures(network) {
  const rows = network.recent(STRIP).filter((row) => row.state === "certified" || row.state === "void");
  const certified = rows.filter((row) => row.state === "certified");
  const latencies = certified
    .map((row) => network.latencyMs(row))
    .filter(Number.isFinite)
    .sort((a, b) => a - b);
  const items = certified.reduce((sum, row) => sum + (row.embeddings ?? row.items ?? 0), 0);
  const peers = network.status.peers;
  const facts = [
    [
      "Certified",
      rows.length ? percent(certified.length / rows.length) : "\u2013",
      rows.length ? `of the last ${rows.length}` : "no round yet",
    ],
    ["Slot to certificate", span(latencies[Math.floor(latencies.length / 2)]), "median"],
    ["Embeddings", counted(items), "in these rounds"],
    ["Peers", counted(Array.isArray(peers) ? peers.length : peers), "connected"],
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

function listed(rows, network) {
  const head = ["Round", "State", "Dealer", "Items", "Certificate after", "When"];
  const cells = (row) => [
    el(
      "th",
      { scope: "row" },
      el(
        "a",
        { href: `#/rounds/${row.round}`, "data-key": `list-${row.round}-${row.shard}` },
        row.shard ? `${row.round}.${row.shard}` : `${row.round}`,
      ),
    ),
    el("td", {}, stateWord(row.state)),
    el("td", { class: "mono wide" }, short(row.dealer)),
    el("td", { class: "right wide" }, counted(row.items)),
    el("td", { class: "right" }, span(network.latencyMs(row))),
    el("td", { class: "right wide" }, moment(network.startsMs(row.round), network.now())),
  ];
  return el(
    "table",
    { class: "plain" },
    el("caption", { class: "unseen" }, "The newest rounds"),
    el(
      "thead",
      {},
      el(
        "tr",
        {},
        head.map((name, index) =>
          el(
            "th",
            {
              scope: "col",
              class: [index > 2 ? "right" : "", [2, 3, 5].includes(index) ? "wide" : ""].join(" "),
            },
            name,
          ),
        ),
      ),
    ),
    el(
      "tbody",
      {},
      rows.map((row) => el("tr", {}, cells(row))),
    ),
  );
}
