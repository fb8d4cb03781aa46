// What a view asks for beside the rounds: asked again when it may have changed, one question at a time.

import { get } from "./api.js";

const PAGES_MAX = 50; // of 200: all are asked for anew when they may have changed

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

/** The same of a list that comes in pages: `value` holds the rows of as many pages as are wanted. */
export class LoadedPages extends Loaded {
  constructor(path, rows, changed) {
    super(path, changed);
    Object.assign(this, { rows, pages: 1 });
  }

  /** Whether there is more, and room for it. */
  get goesOn() {
    return Boolean(this.value?.next_after) && this.pages < PAGES_MAX;
  }

  /** Want one page more. */
  more(version) {
    this.pages += 1;
    this.version = null;
    return this.want(version);
  }

  async fetch() {
    let page = await get(this.path);
    const rows = [...page[this.rows]];
    for (let pages = 1; pages < this.pages && page.next_after; pages += 1) {
      page = await get(`${this.path}?after=${encodeURIComponent(page.next_after)}`);
      rows.push(...page[this.rows]);
    }
    return { ...page, [this.rows]: rows };
  }
}
