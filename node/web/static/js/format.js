// Numbers, times and strangers' strings as people read them.

import { el } from "./dom.js";

const NONE = "\u2013";

// Controls, and what reorders or hides text: a hostile item must not rewrite the words around it.
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** A stranger's text, its invisible characters shown as a mark, cut to `length` characters. */
export function clipped(text, length = 160) {
  const clean = String(text ?? "")
    .slice(0, length * 2)
    .replace(INVISIBLE, "\u00b7");
  const points = [...clean];
  return points.length > length ? `${points.slice(0, length).join("")}\u2026` : clean;
}

/** A count with separators. */
export function counted(value) {
  return value === null || value === undefined ? NONE : Math.round(value).toLocaleString("en-GB");
}

/** "1 round", "3 rounds". */
export function plural(count, noun) {
  return `${counted(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** A number with `digits` decimals. */
export function decimal(value, digits = 2) {
  return Number.isFinite(value) ? value.toFixed(digits) : NONE;
}

/** A share as a percentage. */
export function percent(share, digits = 0) {
  return Number.isFinite(share) ? `${(100 * share).toFixed(digits)} %` : NONE;
}

/** A length of time: "840 ms", "2.6 s", "3 min". */
export function span(ms) {
  if (!Number.isFinite(ms)) return NONE;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
  return `${Math.floor(ms / 3_600_000)} h ${Math.floor((ms % 3_600_000) / 60_000)} min`;
}

/** A size: "4,096 B", "1.3 MB". */
export function bytes(size) {
  if (!Number.isFinite(size)) return NONE;
  if (size < 10_000) return `${counted(size)} B`;
  return size < 1e6 ? `${(size / 1e3).toFixed(0)} kB` : `${(size / 1e6).toFixed(1)} MB`;
}

/** The first digits of a key or digest. */
export function short(hex) {
  return clipped(hex ?? "", 64).slice(0, 8) || NONE;
}

/** How long ago, from the node's clock. */
export function ago(ms, now) {
  const past = now - ms;
  if (past < 1500) return "now";
  if (past < 60_000) return `${Math.floor(past / 1000)} s ago`;
  if (past < 3_600_000) return `${Math.floor(past / 60_000)} min ago`;
  if (past < 86_400_000) return `${Math.floor(past / 3_600_000)} h ago`;
  return `${Math.floor(past / 86_400_000)} d ago`;
}

/** A moment: relative, kept up to date by `refreshTimes`, the absolute one beside it as its title. */
export function moment(ms, now) {
  if (!Number.isFinite(ms) || ms <= 0) return el("span", {}, NONE);
  const exact = new Date(ms);
  return el(
    "time",
    { datetime: exact.toISOString(), title: exact.toLocaleString(), "data-at": ms },
    ago(ms, now),
  );
}

/** The absolute time of day, with the date in its title. */
export function clock(ms) {
  const exact = new Date(ms);
  return el(
    "time",
    { datetime: exact.toISOString(), title: exact.toLocaleString() },
    exact.toLocaleTimeString("en-GB"),
  );
}

/** Bring every relative time on the page up to date. */
export function refreshTimes(now) {
  for (const node of document.querySelectorAll("time[data-at]")) {
    const text = ago(Number(node.dataset.at), now);
    if (node.textContent !== text) node.textContent = text;
  }
}

export const ROUND_WORDS = { open: "under way", reported: "reported", certified: "certified", void: "void" };
