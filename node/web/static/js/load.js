// What a view asks for beside the rounds: asked again when it may have changed, one question at a time.

import { get } from "./api.js";

/** Holds the newest answer of a path: `value` null until the first, `failure` the last error or null. */
export class Loaded {
  constructor(path, changed) {
    Object.assign(this, {
      path,
      changed,
      value: null,
      failure: null,
      version: null,
      asking: false,
      ended: false,
    });
  }

  /** Ask unless it was asked for this `version` of the network. */
  async want(version) {
    if (this.asking || this.ended || this.version === version) return;
    this.version = version;
    this.asking = true;
    try {
      this.value = await this.fetch();
      this.failure = null;
    } catch (failure) {
      this.failure = failure;
      this.version = failure.status === 404 ? version : null; // asked again with the next change
    }
    this.asking = false;
    if (!this.ended) this.changed();
  }

  fetch() {
    return get(this.path);
  }

  end() {
    this.ended = true;
  }
}

/** The same of one page of a list in key order: `value` has `first`, the place of its first row, too. */
export class LoadedPage extends Loaded {
  constructor(path, rows, changed) {
    super(path, changed);
    Object.assign(this, { rows, starts: [{ after: null, first: 0 }] });
  }

  /** Turn to the next page, `forward`, or back; `version` as in `want`. */
  async turn(forward, version) {
    // What is shown may still be the page before.
    if (this.value?.first !== this.starts.at(-1).first) return;
    if (forward) {
      if (!this.value.next_after) return;
      const first = this.value.first + this.value[this.rows].length;
      this.starts.push({ after: this.value.next_after, first });
    } else if (this.starts.length > 1) this.starts.pop();
    this.version = null;
    await this.want(version);
  }

  async fetch() {
    const { after, first } = this.starts.at(-1);
    const page = await get(after ? `${this.path}?after=${encodeURIComponent(after)}` : this.path);
    // Members may have left since it was turned to.
    if (after && !page[this.rows].length) {
      this.starts.pop();
      return this.fetch();
    }
    return { ...page, first };
  }
}
