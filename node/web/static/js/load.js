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
      this.value = await get(this.path);
      this.failure = null;
    } catch (failure) {
      this.failure = failure;
      this.version = failure.status === 404 ? version : null; // asked again with the next change
    }
    this.asking = false;
    if (!this.ended) this.changed();
  }

  end() {
    this.ended = true;
  }
}
