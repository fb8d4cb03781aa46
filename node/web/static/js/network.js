// What the page knows of the network: history from the GET endpoints, then events. Every table is bounded.

import { get } from "./api.js";

const ROUNDS_MAX = 60;
const DETAILS_MAX = 12;
const REFETCH_MS = 300;
const REFRESHED = 4;

/** Rounds newest first, details of a few, the newest status; `changed` is told after every change. */
export class Network {
  constructor(changed) {
    this.changed = changed;
    this.status = null;
    this.rounds = new Map(); // round -> shards' rows by shard
    this.details = new Map(); // round -> document of /v1/rounds/{n}
    this.refetching = new Map();
    this.epochEvents = 0; // grows when tables of encoders may have changed
    this.findingEvents = 0; // grows when evidence or a dispute arrived
    this.skew_ms = 0;
    this.refreshing = false;
  }

  /** The node's time: a phone's clock may be minutes off. */
  now() {
    return Date.now() + this.skew_ms;
  }

  /** Load what was before; called at the start and after a gap. */
  async load() {
    const [status, page] = await Promise.all([get("/v1/status"), get(`/v1/rounds?limit=${ROUNDS_MAX}`)]);
    this.takeStatus(status);
    for (const row of page.rounds) this.takeRound(row);
    this.epochEvents += 1;
    this.findingEvents += 1;
    for (const round of this.details.keys()) this.refetch(round);
    this.changed();
  }

  /** Take one event in. */
  take({ kind, data }) {
    switch (kind) {
      case "status":
        this.takeStatus({ ...this.status, ...data });
        break;
      case "step":
        this.takeStep(data);
        break;
      case "certified":
        this.takeRound({
          ...this.row(data.round, data.shard),
          ...data,
          state: "certified",
          updated_ms: this.row(data.round, data.shard)?.updated_ms ?? this.now(),
        });
        this.refetch(data.round);
        this.refresh();
        break;
      case "epoch":
        this.epochEvents += 1;
        break;
      case "dispute":
        this.refetch(data.round);
        this.findingEvents += 1;
        break;
      case "evidence":
        this.findingEvents += 1;
        break;
      case "missed":
        this.load().catch(() => {}); // told by the line when the node is gone
        return;
      default:
        return;
    }
    this.changed();
  }

  /** Ask for the newest rows anew: events name neither dealer nor embeddings. One question at a time. */
  refresh() {
    if (this.refreshing) return;
    this.refreshing = true;
    setTimeout(async () => {
      this.refreshing = false;
      try {
        for (const row of (await get(`/v1/rounds?limit=${REFRESHED}`)).rounds) this.takeRound(row);
        this.changed();
      } catch {
        // told by the line when the node is gone
      }
    }, REFETCH_MS);
  }

  takeStatus(status) {
    this.status = status;
    const skew_ms = status.updated_ms - Date.now();
    this.skew_ms = Math.abs(skew_ms) > 3000 ? skew_ms : 0;
  }

  takeStep(step) {
    const state = { void: "void", certified: "certified", reported: "reported" }[step.step] ?? "open";
    const known = this.row(step.round, step.shard);
    const settled = known?.state === "certified" || (known?.state === "void" && state !== "certified");
    const row = {
      round: step.round,
      shard: step.shard,
      epoch: null,
      dealer: null,
      report: null,
      items: null,
      ...known,
    };
    this.takeRound({
      ...row,
      state: settled || (known?.state === "reported" && state === "open") ? known.state : state,
      updated_ms: step.at_ms,
    });
    this.refetch(step.round);
  }

  takeRound(row) {
    const shards = this.rounds.get(row.round) ?? new Map();
    shards.set(row.shard, row);
    this.rounds.set(row.round, shards);
    for (const oldest of [...this.rounds.keys()]
      .sort((a, b) => a - b)
      .slice(0, Math.max(0, this.rounds.size - ROUNDS_MAX))) {
      this.rounds.delete(oldest);
    }
  }

  row(round, shard) {
    return this.rounds.get(round)?.get(shard) ?? null;
  }

  /** Rows of the newest rounds, newest first. */
  recent(limit = ROUNDS_MAX) {
    const numbers = [...this.rounds.keys()].sort((a, b) => b - a).slice(0, limit);
    return numbers.flatMap((round) => [...this.rounds.get(round).values()].sort((a, b) => a.shard - b.shard));
  }

  /** When a round's slot begins. */
  startsMs(round) {
    return this.status ? this.status.genesis_ms + round * this.status.slot_ms : NaN;
  }

  /** From the slot's beginning to the certificate, where there is one. */
  latencyMs(row) {
    const ms = row.updated_ms - this.startsMs(row.round);
    // What was caught up later says nothing about the round.
    return row.state === "certified" && ms > 0 && ms < 2 * this.status.slot_ms ? ms : NaN;
  }

  /** The same of a round the node has said something about: others are not asked for. */
  followed(round) {
    return this.rounds.has(round) ? this.detail(round) : null;
  }

  /** The document of a round, if it is here; asks for it if not. */
  detail(round) {
    const found = this.details.get(round);
    if (found === undefined) {
      this.keepDetail(round, null);
      this.refetch(round, 0);
    }
    return found ?? null;
  }

  keepDetail(round, document) {
    this.details.delete(round);
    this.details.set(round, document);
    while (this.details.size > DETAILS_MAX) this.details.delete(this.details.keys().next().value);
  }

  /** Ask for a round's document anew if somebody looks at it: once for a burst of events. */
  refetch(round, after_ms = REFETCH_MS) {
    if (!this.details.has(round) || this.refetching.has(round)) return;
    const timer = setTimeout(async () => {
      try {
        const document = await get(`/v1/rounds/${round}`);
        this.refetching.delete(round);
        if (this.details.has(round)) this.keepDetail(round, document);
        for (const shard of document.shards)
          this.takeRound({ ...this.row(round, shard.shard), ...rowOf(shard) });
      } catch (failure) {
        this.refetching.delete(round);
        if (this.details.get(round) === null)
          this.details.set(round, { round, failure: failure.message, status: failure.status, shards: [] });
      }
      this.changed();
    }, after_ms);
    this.refetching.set(round, timer);
  }
}

function rowOf({ scores, steps, attestations, disputes, ...row }) {
  return row;
}
