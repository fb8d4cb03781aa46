// A table one can sort by its heads; the order is kept while its rows change.

import { el } from "../dom.js";

/**
 * `columns`: [{key, title, about?, value(row), cell(row), right?, wide?, first?}]; `order`: {key, down}, changed in
 * place. Numbers sort largest first at the first press, words smallest first.
 */
export function sortable({ caption, columns, rows, order, rowKey, onOrder }) {
  const column = columns.find((one) => one.key === order.key) ?? columns[0];
  const sorted = [...rows].sort(
    (a, b) =>
      compare(column.value(a), column.value(b)) * (order.down ? -1 : 1) || compare(rowKey(a), rowKey(b)),
  );
  const css = (one) =>
    [one.right ? "right" : "", one.wide ? "wide" : "", one.wider ? "wider" : ""].join(" ").trim() ||
    undefined;
  const heads = columns.map((one) => {
    const active = one === column;
    const press = () => {
      if (active) order.down = !order.down;
      else Object.assign(order, { key: one.key, down: typeof one.value(rows[0] ?? {}) === "number" });
      onOrder();
    };
    const sort = active ? (order.down ? "descending" : "ascending") : undefined;
    const arrow = el(
      "span",
      { class: "arrow", "aria-hidden": "true" },
      active ? (order.down ? "\u2193" : "\u2191") : "",
    );
    return el(
      "th",
      { scope: "col", class: css(one), "aria-sort": sort },
      el(
        "button",
        {
          type: "button",
          class: "sort",
          title: one.about,
          "data-key": `sort-${one.key}`,
          on: { click: press },
        },
        one.title,
        arrow,
      ),
    );
  });
  const line = (row) =>
    el(
      "tr",
      {},
      columns.map((one, index) =>
        index ? el("td", { class: css(one) }, one.cell(row)) : el("th", { scope: "row" }, one.cell(row)),
      ),
    );
  return el(
    "table",
    { class: "plain" },
    el("caption", { class: "unseen" }, caption),
    el("thead", {}, el("tr", {}, heads)),
    el("tbody", {}, sorted.map(line)),
  );
}

function compare(a, b) {
  // What has no value comes last when the best comes first.
  const missing = (one) => one === null || one === undefined || Number.isNaN(one);
  if (missing(a) || missing(b)) return missing(a) - missing(b) ? (missing(a) ? -1 : 1) : 0;
  return a < b ? -1 : a > b ? 1 : 0;
}
