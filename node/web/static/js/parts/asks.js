// What was asked in this tab: kept over a reload, forgotten with the tab.

const KEY = "deltamesh-asks";
const ASKS_MAX = 8;

/** Asks kept from before, newest first. */
export function keptAsks() {
  try {
    const found = JSON.parse(sessionStorage.getItem(KEY) ?? "[]");
    return Array.isArray(found) ? found.slice(0, ASKS_MAX) : [];
  } catch {
    return [];
  }
}

/** Keep the newest; gives back what is kept. */
export function keepAsks(asks) {
  const kept = asks.slice(0, ASKS_MAX);
  try {
    sessionStorage.setItem(KEY, JSON.stringify(kept));
  } catch {
    // storage is off: they last as long as the page
  }
  return kept;
}
