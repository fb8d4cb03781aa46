// The line to the node: events as they happen, and when it drops, a new one after a growing wait.

import { ApiFailure, request } from "./api.js";
import { eventsOf } from "./sse.js";

const WAIT_FIRST_MS = 500;
const WAIT_MAX_MS = 15_000;
// A node says its status every second: one that is silent for so long is gone, whatever TCP thinks.
const SILENCE_MS = 15_000;

/**
 * Keeps a subscription for ever. `onEvent(event)`; `onState({state, untilMs, reason})` with state
 * "connecting", "live", "lost" (a new attempt at `untilMs`) or "refused" (a token is needed);
 * `onOpen()` resolves once the history is loaded, and is called anew after every gap.
 */
export class Live {
  constructor({ onEvent, onState, onOpen }) {
    Object.assign(this, { onEvent, onState, onOpen });
    this.lastId = null;
    this.failures = 0;
    this.wake = null;
  }

  /** Connect, and again, until the page goes. */
  async run() {
    for (;;) {
      let reason = "the node closed the line";
      try {
        this.onState({ state: "connecting" });
        await this.follow();
      } catch (error) {
        reason = error.message;
        if (error instanceof ApiFailure && (error.status === 401 || error.status === 403)) {
          this.onState({ state: "refused", reason });
          await this.rest(null);
          continue;
        }
      }
      this.failures += 1;
      const ceiling_ms = Math.min(WAIT_MAX_MS, WAIT_FIRST_MS * 2 ** (this.failures - 1));
      // Spread: a thousand pages must not come back in the same instant.
      const wait_ms = ceiling_ms * (0.5 + Math.random() / 2);
      this.onState({ state: "lost", untilMs: Date.now() + wait_ms, reason });
      await this.rest(wait_ms);
    }
  }

  /** Try now, without waiting out the pause. */
  retry() {
    this.wake?.();
  }

  async follow() {
    const abort = new AbortController();
    const headers = { Accept: "text/event-stream" };
    if (this.lastId !== null) headers["Last-Event-ID"] = this.lastId;
    let silence = null;
    const heard = () => {
      clearTimeout(silence);
      silence = setTimeout(() => abort.abort(), SILENCE_MS);
    };
    try {
      heard();
      const response = await request("/v1/events", { headers, signal: abort.signal });
      // The line first, the history second: what happens in between is in both, and lost in neither.
      const events = eventsOf(response.body);
      await this.onOpen();
      this.failures = 0;
      this.onState({ state: "live" });
      for await (const event of events) {
        heard();
        if (event.id !== null) this.lastId = event.id;
        this.onEvent(event);
      }
    } finally {
      clearTimeout(silence);
      abort.abort();
    }
  }

  rest(wait_ms) {
    return new Promise((resolve) => {
      const timer = wait_ms === null ? null : setTimeout(resolve, wait_ms);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
