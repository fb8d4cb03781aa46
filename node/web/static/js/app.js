// The shell: which view is shown, the state of the line, and the clock that drives both.

import { el } from "./dom.js";
import { useToken } from "./api.js";
import { clipped, refreshTimes, short } from "./format.js";
import { Live } from "./live.js";
import { Network } from "./network.js";
import { askView } from "./views/ask.js";
import { encoderView } from "./views/encoder.js";
import { encodersView } from "./views/encoders.js";
import { mapView } from "./views/map.js";
import { networkView } from "./views/network.js";
import { nowView } from "./views/now.js";
import { roundView } from "./views/round.js";

const TICK_MS = 250;
const ROUTES = [
  [/^now$/, "Now", nowView, "#/now"],
  [/^rounds\/(\d{1,15})$/, "Round", roundView, "#/now"],
  [/^encoders$/, "Encoders", encodersView, "#/encoders"],
  [/^encoders\/([0-9a-f]{64})$/, "Encoder", encoderView, "#/encoders"],
  [/^map$/, "Map", mapView, "#/map"],
  [/^network$/, "Network", networkView, "#/network"],
  [/^ask$/, "Ask", askView, "#/ask"],
];

const main = document.getElementById("main");
let shown = null; // {update, tick, destroy} of the view on the page
let line = { state: "connecting" };
let drawing = false;

const network = new Network(redraw);
const live = new Live({
  onEvent: (event) => network.take(event),
  onState: say,
  onOpen: () => network.load(),
});

/** Draw once a frame, however many events came. */
function redraw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    shown?.update();
    const status = network.status;
    if (status) {
      document.getElementById("about").textContent =
        `Network ${short(status.network_id)}, ${clipped(status.modality, 20)}, seen from validator ${short(status.public_key)}, version ${clipped(status.version, 20)}.`;
    }
  });
}

function route({ first = false } = {}) {
  const path = location.hash.replace(/^#\/?/, "") || "now";
  let chosen = null;
  for (const [pattern, title, view, tab] of ROUTES) {
    const match = pattern.exec(path);
    if (match)
      chosen = {
        title: match[1] && title === "Round" ? `Round ${match[1]}` : title,
        view,
        tab,
        parameter: match[1],
      };
  }
  shown?.destroy?.();
  main.replaceChildren();
  for (const link of document.querySelectorAll(".tabs a")) {
    if (link.getAttribute("href") === chosen?.tab) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (!chosen) {
    shown = null;
    document.title = "Not found - deltamesh";
    main.append(
      el(
        "section",
        {},
        el("h1", {}, "There is no such view"),
        el(
          "p",
          {},
          "The link may be mistyped. ",
          el("a", { href: "#/now" }, "See the round in progress"),
          ".",
        ),
      ),
    );
    return;
  }
  document.title = `${chosen.title} - deltamesh`;
  const notice = el("div", { id: "notice" });
  const place = el("div", {});
  main.append(notice, place);
  shown = chosen.view(place, network, chosen.parameter);
  shown.update();
  say(line);
  if (!first) {
    main.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }
}

const lamp = document.getElementById("link");
const lampText = document.getElementById("link-text");

function say(state) {
  const before = line.state;
  line = state;
  lamp.dataset.state = state.state;
  sayLine();
  const notice = document.getElementById("notice");
  if (!notice) return;
  if (state.state === "refused") notice.replaceChildren(tokenForm(state.reason));
  else if (state.state === "lost" || (state.state === "connecting" && before === "lost")) {
    if (!notice.querySelector(".lost")) notice.replaceChildren(lostNotice());
    notice.querySelector(".reason").textContent = state.reason ?? notice.querySelector(".reason").textContent;
  } else if (state.state === "live" || before === "refused") notice.replaceChildren();
}

function sayLine() {
  const left_s = Math.max(0, Math.ceil((line.untilMs - Date.now()) / 1000));
  const words = {
    connecting: "Connecting",
    live: "Live",
    refused: "Token needed",
    lost: left_s ? `Reconnecting in ${left_s} s` : "Reconnecting",
  };
  const text = words[line.state];
  if (lampText.textContent !== text) lampText.textContent = text;
}

function lostNotice() {
  const again = el("button", { type: "button", on: { click: () => live.retry() } }, "Reconnect now");
  const known = network.status
    ? "What you see is what was known last."
    : "The node may be starting: this page comes to life with it.";
  return el(
    "section",
    { class: "notice lost", "aria-labelledby": "lost-title" },
    el(
      "h2",
      { id: "lost-title" },
      network.status ? "The line to the node dropped" : "The node does not answer yet",
    ),
    el("p", {}, el("span", { class: "reason" }), " ", known),
    el("p", {}, again),
  );
}

function tokenForm(reason) {
  const field = el("input", { id: "token", type: "password", autocomplete: "off", required: true });
  const form = el(
    "form",
    {},
    el("label", { for: "token" }, "Access token"),
    field,
    el("button", { class: "primary" }, "Use it"),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    useToken(field.value.trim());
    live.retry();
  });
  return el(
    "section",
    { class: "notice" },
    el("h2", {}, "This node asks for a token"),
    el("p", {}, reason),
    el("p", { class: "soft small" }, "It is kept until you close this tab."),
    form,
  );
}

document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault(); // its address would be taken for a view's
  main.focus();
});
window.addEventListener("hashchange", () => route());
document.documentElement.addEventListener("theme", () => shown?.theme?.());
setInterval(() => {
  if (document.hidden) return;
  refreshTimes(network.now());
  sayLine();
  shown?.tick?.(network.now());
}, TICK_MS);
route({ first: true });
live.run();
