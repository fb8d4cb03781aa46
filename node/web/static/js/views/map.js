// Map: consensus embeddings in two dimensions, and a search that shows where its hits lie.

import { get, post } from "../api.js";
import { el, fill } from "../dom.js";
import { clipped, counted, decimal, plural, short } from "../format.js";
import { Loaded } from "../load.js";
import { Plane } from "../parts/plane.js";

const POINTS_MAX = 2000;
const HITS = 10;
const REFRESH_MS = 60_000;
const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export function mapView(place, network) {
  const canvas = el("canvas", {
    class: "plane",
    tabindex: 0,
    role: "application",
    "aria-label": "Map of embeddings",
    "aria-describedby": "map-keys",
  });
  const preview = el("div", { class: "preview", hidden: true });
  const said = el("p", { class: "unseen", "aria-live": "polite" });
  const count = el("p", { class: "soft lead" }, "Loading the map");
  const field = el("input", {
    id: "query",
    name: "query",
    maxlength: 2000,
    required: true,
    autocomplete: "off",
    placeholder: "A text, one of yours or any other",
  });
  const go = el("button", { class: "primary" }, "Search");
  const clear = el("button", { type: "button", hidden: true, on: { click: forget } }, "Clear");
  const form = el(
    "form",
    { class: "search", role: "search" },
    el("label", { for: "query" }, "Find what lies near a text"),
    el("div", { class: "row" }, field, go, clear),
  );
  const results = el("div", { class: "results", "aria-live": "polite" });
  const tool = (words, name, act) =>
    el("button", { type: "button", "aria-label": name, title: name, on: { click: act } }, words);
  const plane = new Plane(canvasIn(), { onPick: pick, onPress: press });
  const loaded = new Loaded(`/v1/map?limit=${POINTS_MAX}`, update);
  let points = [];
  let drawnFrom = null;
  let searching = 0;

  function canvasIn() {
    const tools = el(
      "div",
      { class: "map-tools" },
      tool("+", "Enlarge", () => plane.zoom(1.5)),
      tool("\u2212", "Make smaller", () => plane.zoom(1 / 1.5)),
      tool("Fit", "Show all points", () => plane.fit()),
    );
    const frame = el("div", { class: "frame" }, canvas, tools, preview);
    const keys = el(
      "p",
      { id: "map-keys", class: "soft small" },
      "Drag to move, pinch or Ctrl and the wheel to enlarge. By keyboard: arrows go from point to point, + and \u2212 enlarge, 0 shows all, Enter opens the point\u2019s round.",
    );
    place.append(
      el("h1", {}, "Map"),
      count,
      el("div", { class: "map" }, el("div", {}, frame, keys, said), el("div", {}, form, results)),
    );
    return canvas;
  }

  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in KEYS) {
      const next = plane.step(...KEYS[event.key]);
      if (next !== null) {
        plane.reveal(next);
        pick(next, true);
      }
    } else if (event.key === "+" || event.key === "=") plane.zoom(1.5);
    else if (event.key === "-") plane.zoom(1 / 1.5);
    else if (event.key === "0") plane.fit();
    else if (event.key === "Enter" && plane.picked !== null)
      location.hash = `#/rounds/${points[plane.picked].round}`;
    else if (event.key === "Escape") pick(null);
    else return;
    event.preventDefault();
  });
  canvas.addEventListener("pointerleave", () => pick(null));

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = field.value.trim();
    if (!text) return;
    const mine = ++searching;
    go.disabled = true;
    results.replaceChildren(el("p", { class: "soft" }, "Searching"));
    try {
      const found = await (await post("/v1/search", { text, k: HITS })).json();
      const places = await placesOf(found.neighbours.map((hit) => hit.item_id));
      if (mine === searching) showHits(found, places);
    } catch (failure) {
      if (mine === searching) results.replaceChildren(el("p", { class: "alarm" }, failure.message));
    }
    go.disabled = false;
  });

  /** Places of hits that are older than the points drawn. */
  async function placesOf(ids) {
    const drawn = new Set(points.map((point) => point.item_id));
    const missing = ids.filter((id) => !drawn.has(id));
    if (!missing.length) return [];
    return (
      await get(`/v1/map?${missing.map((id) => `item_id=${encodeURIComponent(id)}`).join("&")}`)
    ).points.filter((point) => missing.includes(point.item_id));
  }

  function showHits(found, places) {
    clear.hidden = false;
    if (places.length) draw([...points, ...places]);
    const at = new Map(points.map((point, index) => [point.item_id, index]));
    plane.mark(
      new Map(
        found.neighbours
          .map((hit, index) => [at.get(hit.item_id), index + 1])
          .filter(([index]) => index !== undefined),
      ),
    );
    const certified = found.certified
      ? "The text is a certified item: its consensus embedding was looked for."
      : `The text was embedded by this node alone${found.model ? ` (${clipped(found.model, 40)})` : ""}, which nobody certified and nobody else learns of.`;
    results.replaceChildren(
      el(
        "p",
        { class: "soft small" },
        `${plural(found.neighbours.length, "hit")} among ${counted(found.searched)}${found.space ? `, space: ${clipped(found.space, 20)}` : ""}. ${certified}`,
      ),
      el(
        "ol",
        { class: "hits" },
        found.neighbours.map((hit, index) => hitOf(hit, index + 1, at.get(hit.item_id))),
      ),
    );
  }

  function hitOf(hit, rank, index) {
    const link = el(
      "a",
      {
        href: `#/rounds/${hit.round}`,
        on: { focus: () => index !== undefined && pick(index), blur: () => pick(null) },
      },
      `round ${hit.round}`,
    );
    const over =
      index === undefined ? {} : { pointerenter: () => pick(index), pointerleave: () => pick(null) };
    return el(
      "li",
      { on: over },
      el("span", { class: "rank", "aria-hidden": "true" }, rank),
      el(
        "div",
        {},
        el("p", { class: "words", dir: "auto" }, textOf(hit)),
        el(
          "p",
          { class: "soft small" },
          `similarity ${decimal(hit.score)}, `,
          link,
          index === undefined ? ", not among the points drawn" : "",
        ),
      ),
    );
  }

  function draw(all) {
    points = all;
    const rounds = points.map((point) => point.round);
    const [oldest, newest] = [Math.min(...rounds), Math.max(...rounds)];
    plane.show(
      points.map((point) => ({
        x: point.x,
        y: point.y,
        age: (newest - point.round) / Math.max(1, newest - oldest),
      })),
    );
  }

  function forget() {
    searching += 1;
    plane.mark(new Map());
    results.replaceChildren();
    clear.hidden = true;
    field.value = "";
    field.focus();
  }

  function pick(index, spoken = false) {
    if (index === plane.picked && !preview.hidden === (index !== null)) return;
    plane.pick(index);
    const point = index === null ? null : points[index];
    preview.hidden = !point;
    if (!point) return;
    preview.replaceChildren(
      el("p", { class: "words", dir: "auto" }, textOf(point)),
      el(
        "p",
        { class: "soft small" },
        `round ${point.round}, item `,
        el("span", { class: "mono" }, short(point.item_id)),
      ),
    );
    const [x, y] = plane.place(index);
    preview.style.setProperty("left", `${Math.max(8, Math.min(x + 14, plane.width - 268))}px`);
    preview.style.setProperty(
      "top",
      `${y > plane.height / 2 ? Math.max(8, y - 14 - preview.offsetHeight) : y + 14}px`,
    );
    if (spoken) said.textContent = `${textOf(point, 120)}, round ${point.round}`;
  }

  function press(index) {
    canvas.focus({ preventScroll: true });
    pick(index);
  }

  function update() {
    loaded.want(Math.floor(network.now() / REFRESH_MS));
    const found = loaded.value;
    if (!found) {
      count.textContent = loaded.failure?.message ?? "Loading the map";
      return;
    }
    if (found === drawnFrom) return;
    drawnFrom = found;
    draw(found.points);
    const rounds = points.map((point) => point.round);
    const [oldest, newest] = [Math.min(...rounds), Math.max(...rounds)];
    count.textContent = points.length
      ? `${plural(points.length, "embedding")} of rounds ${counted(oldest)} to ${counted(newest)}, space: ${clipped(found.space, 20)}${found.items > points.length ? `, of ${counted(found.items)}` : ""}. Near each other are those the network finds alike; paler ones are older.`
      : "No embedding is certified yet: the map begins with the first certified round.";
  }

  return { update, theme: () => plane.colours(), destroy: () => (plane.end(), loaded.end()) };
}

function textOf(one, length = 220) {
  return clipped(one.preview, length) || `item ${short(one.item_id)}`;
}
