// One round, as this node saw it: waves, answers, scores, signatures, disputes.

import { request } from "../api.js";
import { el, fill } from "../dom.js";
import { clock, counted, decimal, percent, plural, short } from "../format.js";
import { answers } from "../parts/answers.js";
import { disputeList } from "../parts/disputes.js";
import { stateWord } from "../parts/strip.js";
import { bar, termBars } from "../parts/terms.js";
import { timeline } from "../parts/timeline.js";

export function roundView(place, network, parameter) {
  const round = Number(parameter);
  const head = el("div", {});
  const body = el("div", { class: "shards" });
  place.append(el("p", { class: "crumb" }, el("a", { href: "#/now" }, "Rounds")), head, body);
  let lines = [];

  function update() {
    const detail = network.detail(round);
    const status = network.status;
    fill(head, [round, detail?.epoch, Boolean(status)], () => [
      el("h1", {}, `Round ${counted(round)}`),
      el(
        "p",
        { class: "soft" },
        detail?.epoch === undefined
          ? ""
          : [`Epoch ${counted(detail.epoch)}, slot from `, clock(detail.starts_ms), "."],
      ),
      el(
        "p",
        { class: "steps" },
        round > 0 ? el("a", { href: `#/rounds/${round - 1}` }, "\u2190 Round before") : "",
        el("a", { href: `#/rounds/${round + 1}` }, "Round after \u2192"),
      ),
    ]);
    fill(body, [detail, status?.slot_ms], () => {
      lines = [];
      if (!detail || !status) return el("p", { class: "waiting" }, "Loading the round");
      if (detail.failure) return el("p", { class: "waiting" }, detail.failure);
      if (!detail.shards.length) return el("p", { class: "waiting" }, "Nothing is known of this round here.");
      return detail.shards.map((shard) => shardOf(shard, detail, network, lines));
    });
  }

  return { update, tick: (now) => lines.forEach((line) => line.tick(now)) };
}

function shardOf(shard, detail, network, lines) {
  const line = timeline(shard, {
    startsMs: detail.starts_ms,
    slotMs: network.status.slot_ms,
    now: network.now(),
  });
  lines.push(line);
  const named = detail.shards.length > 1 ? `Shard ${shard.shard}` : "The round";
  const reason = shard.steps.find((step) => step.step === "void")?.detail;
  const table = answers(shard);
  return el(
    "article",
    {},
    el("h2", {}, named, " ", stateWord(shard.state)),
    reason ? el("p", { class: "alarm" }, `Void: ${reason}.`) : "",
    el(
      "p",
      { class: "soft" },
      "Dealt by ",
      el("span", { class: "mono" }, short(shard.dealer)),
      `, ${plural(shard.items ?? 0, "item")}, ${plural(shard.embeddings ?? 0, "embedding")}.`,
      shard.report
        ? [
            "  Certificate ",
            el("a", { class: "mono", href: `/v1/certificates/${shard.report}` }, short(shard.report)),
            ".",
          ]
        : "",
    ),
    el(
      "div",
      { class: "pair" },
      el(
        "section",
        {},
        el("h3", {}, "Steps"),
        shard.steps.length
          ? line.node
          : el("p", { class: "soft" }, "This node did not follow the round, or no longer keeps its steps."),
      ),
      el(
        "section",
        {},
        el("h3", {}, "Who answered"),
        table ?? el("p", { class: "soft" }, "Its dealer knows; this node saw the report."),
      ),
    ),
    shard.scores.length ? el("section", {}, el("h3", {}, "Scores"), scoreTable(shard.scores)) : "",
    el("section", {}, el("h3", {}, "Signatures"), signatures(shard)),
    shard.disputes.length ? el("section", {}, el("h3", {}, "Disputes"), disputeList(shard.disputes)) : "",
    shard.report ? saving(shard.report, detail.round) : "",
  );
}

function scoreTable(scores) {
  const most = Math.max(1e-9, ...scores.map((one) => one.weight));
  const best = Math.max(1e-9, ...scores.map((one) => one.score));
  const row = (one) =>
    el(
      "tr",
      {},
      el(
        "th",
        { scope: "row" },
        el("a", { class: "mono", href: `#/encoders/${one.encoder}` }, short(one.encoder)),
      ),
      el("td", {}, bar(decimal(one.score, 3), one.score / best)),
      el("td", { class: "wide" }, termBars(one.terms)),
      el("td", { class: "right wide" }, decimal(one.terms?.local_outlier_factor)),
      el("td", {}, bar(percent(one.weight, 1), one.weight / most)),
    );
  const heads = ["Encoder", "Score", "Terms", "LOF", "Weight"].map((name, index) =>
    el("th", { scope: "col", class: [null, null, "wide", "right wide", null][index] }, name),
  );
  return el(
    "table",
    { class: "plain" },
    el("caption", { class: "unseen" }, "Scores of the round"),
    el("thead", {}, el("tr", {}, heads)),
    el("tbody", {}, [...scores].sort((a, b) => b.score - a.score).map(row)),
  );
}

function signatures(shard) {
  if (!shard.attestations.length)
    return el("p", { class: "soft" }, "No certificate: nobody\u2019s signature stands for it here.");
  const share = shard.total_stake ? shard.stake / shard.total_stake : NaN;
  return [
    el(
      "p",
      {},
      `${plural(shard.attestations.length, "validator")} with ${percent(share, share < 0.9995 ? 0 : 0)} of the stake; two thirds are enough.`,
    ),
    el(
      "div",
      { class: "quorum", role: "img", "aria-label": `${percent(share)} of the stake signed` },
      el("span", { style: { width: percent(share, 2).replace(" ", "") } }),
    ),
    el(
      "ul",
      { class: "keys" },
      shard.attestations.map((key) => el("li", { class: "mono" }, short(key))),
    ),
  ];
}

function saving(report, round) {
  const said = el("span", { class: "small soft", role: "status" });
  const save = async () => {
    try {
      const blob = await (await request(`/v1/reports/${report}/bundle`)).blob();
      const link = el("a", { href: URL.createObjectURL(blob), download: `round-${round}.dmr` });
      link.click();
      URL.revokeObjectURL(link.href);
      said.textContent = " Check it anywhere with: deltamesh verify";
    } catch (failure) {
      said.textContent = ` ${failure.message}`;
    }
  };
  return el(
    "p",
    {},
    el("button", { type: "button", on: { click: save } }, "Save the report as a file"),
    said,
  );
}
