// Network: who is connected, whose stake counts, what is held against whom, and what it costs in bytes.

import { el, fill } from "../dom.js";
import { clipped, counted, moment, percent, plural, short } from "../format.js";
import { Loaded } from "../load.js";
import { disputeList } from "../parts/disputes.js";
import { mesh } from "../parts/mesh.js";
import { traffic, trafficOf } from "../parts/traffic.js";

const ROUNDS_MEASURED = 6;
const PEERS_LISTED = 100;
const REFRESH_MS = 5000;

export function networkView(place, network) {
  const places = Object.fromEntries(
    ["mesh", "validators", "traffic", "evidence", "disputes", "peers"].map((name) => [name, el("div", {})]),
  );
  const part = (name, title) =>
    el(
      "section",
      { "aria-labelledby": `${name}-title` },
      el("h2", { id: `${name}-title` }, title),
      places[name],
    );
  place.append(
    el("h1", {}, "Network"),
    el(
      "p",
      { class: "soft lead" },
      "What this validator is connected to, and what it holds against whom. Others see their own part.",
    ),
    el(
      "div",
      { class: "grid-two" },
      part("mesh", "Mesh"),
      el(
        "div",
        { class: "stack" },
        part("validators", "Validators"),
        part("evidence", "Evidence"),
        part("disputes", "Disputes"),
      ),
    ),
    part("traffic", "Bandwidth"),
    part("peers", "Peers"),
  );
  const loaded = {
    peers: new Loaded("/v1/peers", update),
    validators: new Loaded("/v1/validators", update),
    encoders: new Loaded("/v1/encoders", update),
    evidence: new Loaded("/v1/evidence", update),
    disputes: new Loaded("/v1/disputes", update),
  };

  function update() {
    const status = network.status;
    loaded.peers.want(Math.floor(network.now() / REFRESH_MS));
    loaded.validators.want(network.epochEvents);
    loaded.encoders.want(network.epochEvents);
    loaded.evidence.want(network.findingEvents);
    loaded.disputes.want(network.findingEvents);
    const peers = loaded.peers.value?.peers;
    if (!status || !peers)
      return fill(places.mesh, loaded.peers.failure?.message ?? "", () =>
        el("p", { class: "waiting" }, loaded.peers.failure?.message ?? "Loading the mesh"),
      );
    const validators = loaded.validators.value?.validators ?? [];
    const members = membersOf(status, peers, validators, loaded.encoders.value?.encoders ?? [], network);
    fill(places.mesh, members, () => [mesh(status.public_key, members), meshLegend()]);
    fill(places.validators, [validators, loaded.validators.failure?.message, status.public_key], () =>
      stakes(validators, status.public_key, loaded.validators),
    );
    fill(places.evidence, [loaded.evidence.value, loaded.evidence.failure?.message], () =>
      evidence(loaded.evidence, network),
    );
    fill(places.disputes, [loaded.disputes.value, loaded.disputes.failure?.message], () =>
      disputes(loaded.disputes),
    );
    const own = network
      .recent()
      .filter((row) => row.dealer === status.public_key && row.state === "certified")
      .slice(0, ROUNDS_MEASURED);
    const rounds = trafficOf(own.map((row) => network.detail(row.round)));
    fill(places.traffic, rounds, () => traffic(rounds));
    fill(places.peers, peers, () => listed(peers, network));
  }

  return { update, destroy: () => Object.values(loaded).forEach((one) => one.end()) };
}

/** Members of the epoch and guests, each once, with what they did in the newest round whose waves were seen. */
function membersOf(status, peers, validators, encoders, network) {
  const marks = new Map();
  for (const row of network.recent(3)) {
    const steps = network.detail(row.round)?.shards?.flatMap((shard) => shard.steps) ?? [];
    const closed = steps.filter((step) => step.step === "locked" && Array.isArray(step.answered));
    for (const step of closed) {
      for (const key of step.answered) marks.set(key, "answered");
      for (const key of step.missing) marks.set(key, "missing");
    }
    if (closed.length) break;
  }
  const connected = new Map(peers.map((peer) => [peer.public_key, peer.role]));
  const roles = new Map([
    ...validators.map((one) => [one.public_key, "validator"]),
    ...encoders.map((one) => [one.public_key, "encoder"]),
    ...connected,
  ]);
  return [...roles]
    .map(([key, role]) => ({ key, role, connected: connected.has(key), mark: marks.get(key) ?? null }))
    .sort((a, b) => b.connected - a.connected || (a.key < b.key ? -1 : 1));
}

function meshLegend() {
  const entry = (role, mark, words) =>
    el(
      "li",
      {},
      el("span", { class: "sample", "data-role": role, "data-mark": mark, "aria-hidden": "true" }),
      words,
    );
  return el(
    "ul",
    { class: "mesh-legend small soft" },
    entry("validator", null, "validator"),
    entry("encoder", null, "encoder"),
    entry("encoder", "missing", "missed a wave of the newest round seen"),
    entry("encoder", "away", "not connected here"),
  );
}

function stakes(validators, me, loaded) {
  if (!validators.length)
    return el("p", { class: "soft" }, loaded.failure?.message ?? "Loading the validators");
  const total = validators.reduce((sum, one) => sum + one.stake, 0) || 1;
  const row = (one) =>
    el(
      "tr",
      {},
      el(
        "th",
        { scope: "row" },
        el("span", { class: "mono" }, short(one.public_key)),
        one.public_key === me ? el("span", { class: "tag" }, "this node") : "",
      ),
      el("td", { class: "right" }, counted(one.stake)),
      el(
        "td",
        {},
        el(
          "div",
          { class: "share" },
          el(
            "span",
            { class: "beam", "aria-hidden": "true" },
            el("span", { style: { width: `${(100 * one.stake) / total}%` } }),
          ),
          el("span", {}, percent(one.stake / total)),
        ),
      ),
    );
  const sorted = [...validators].sort((a, b) => b.stake - a.stake || (a.public_key < b.public_key ? -1 : 1));
  return el(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": "Stakes" },
    el(
      "table",
      { class: "plain" },
      el("caption", { class: "unseen" }, "Validators and their stake"),
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          el("th", { scope: "col" }, "Validator"),
          el("th", { scope: "col", class: "right" }, "Stake"),
          el("th", { scope: "col" }, "Share"),
        ),
      ),
      el("tbody", {}, sorted.slice(0, PEERS_LISTED).map(row)),
    ),
    sorted.length > PEERS_LISTED
      ? el("p", { class: "soft small" }, `and ${plural(sorted.length - PEERS_LISTED, "validator")} more`)
      : "",
  );
}

function evidence(loaded, network) {
  const found = loaded.value?.evidence;
  if (!found) return el("p", { class: "soft" }, loaded.failure?.message ?? "Loading");
  if (!found.length)
    return el(
      "p",
      { class: "soft" },
      "None: nobody was caught signing two things, or revealing what they did not commit to.",
    );
  const words = {
    equivocation: "signed two things in one place",
    "false-reveal": "revealed what it had not committed to",
    "wrong-preimage": "showed a wrong preimage",
    "false-certificate": "signed a certificate that does not hold",
  };
  return el(
    "ul",
    { class: "findings" },
    found
      .slice(0, 20)
      .map((one) =>
        el(
          "li",
          {},
          el("span", { class: "mono" }, short(one.offender)),
          ` ${words[one.kind] ?? clipped(one.kind, 40)}, `,
          moment(one.received_ms, network.now()),
          ".",
        ),
      ),
    found.length > 20 ? el("li", {}, `and ${counted(found.length - 20)} more`) : "",
  );
}

function disputes(loaded) {
  const found = loaded.value?.disputes;
  if (!found) return el("p", { class: "soft" }, loaded.failure?.message ?? "Loading");
  if (!found.length)
    return el("p", { class: "soft" }, "None: all validators that spoke agree with every report.");
  return [
    disputeList(found.slice(0, 20)),
    found.length > 20 ? el("p", { class: "soft small" }, `and ${counted(found.length - 20)} more`) : "",
  ];
}

function listed(peers, network) {
  if (!peers.length)
    return el(
      "p",
      { class: "soft" },
      "No peers yet: the node dials its bootstrap addresses, or waits for others.",
    );
  const heads = [
    ["Peer"],
    ["Role"],
    ["Direction", "wide"],
    ["Connected", ""],
    ["Penalty", "right"],
    ["Address", "wide"],
  ];
  const row = (one) =>
    el(
      "tr",
      {},
      el("th", { scope: "row", class: "mono" }, short(one.public_key)),
      el("td", { class: "break" }, clipped(one.role, 20)),
      el("td", { class: "wide" }, one.outbound ? "dialled" : "came"),
      el("td", {}, moment(one.since_ms, network.now())),
      el("td", { class: one.penalty > 0 ? "right alarm" : "right" }, Number(one.penalty).toFixed(0)),
      el("td", { class: "wide mono small break" }, clipped(one.address, 80)),
    );
  return [
    el(
      "table",
      { class: "plain" },
      el("caption", { class: "unseen" }, "Connected peers"),
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          heads.map(([name, css]) => el("th", { scope: "col", class: css || undefined }, name)),
        ),
      ),
      el("tbody", {}, peers.slice(0, PEERS_LISTED).map(row)),
    ),
    peers.length > PEERS_LISTED
      ? el("p", { class: "soft small" }, `and ${plural(peers.length - PEERS_LISTED, "peer")} more`)
      : "",
  ];
}
