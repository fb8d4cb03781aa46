// Ask: a text becomes a certified embedding, and one can watch it.

import { get, post } from "../api.js";
import { el, fill } from "../dom.js";
import { clipped, counted, decimal, moment, plural, short } from "../format.js";
import { keptAsks, keepAsks } from "../parts/asks.js";
import { stateWord } from "../parts/strip.js";
import { timeline } from "../parts/timeline.js";

const WORDS_MAX = 8000;
const POLL_MS = 2000;
const TEXT = "text";
const CURL = `curl ${location.origin}/v1/embeddings -H 'Content-Type: application/json'`;

export function askView(place, network) {
  const field = el("textarea", {
    id: "text",
    name: "text",
    maxlength: WORDS_MAX,
    required: true,
    "aria-describedby": "public",
  });
  const go = el("button", { class: "primary" }, "Ask the network");
  const fault = el("p", { class: "alarm", role: "alert" });
  const warning = el(
    "p",
    { id: "public", class: "warning" },
    el("strong", {}, "What you submit becomes public."),
    " It appears, readable by anyone and for good, in the report of the round that embeds it. Do not send what is private.",
  );
  const form = el(
    "form",
    { class: "ask" },
    el("label", { for: "text" }, "Text"),
    field,
    warning,
    el("div", { class: "row" }, go),
    fault,
  );
  const files = el("p", { class: "notice", hidden: true });
  const example = el("code", {});
  const list = el("div", { class: "asks", "aria-live": "polite" });
  place.append(
    el("h1", {}, "Ask"),
    el(
      "p",
      { class: "soft lead" },
      "The network embeds your text in its next round. You get one consensus embedding of 1,024 numbers, and a certificate that anyone can check. Texts it knows already are answered at once.",
    ),
    files,
    form,
    list,
    el(
      "section",
      { class: "program", "aria-labelledby": "program-title" },
      el("h2", { id: "program-title" }, "From a program"),
      el("p", { class: "soft" }, "The same over HTTP, as OpenAI\u2019s clients speak it:"),
      el("pre", {}, example),
    ),
  );

  let asks = keptAsks(); // [{id, text, at_ms, answer, failure}], newest first
  let line = null;
  let polled_ms = 0;
  let polling = false;

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = field.value.trim();
    if (!text) return;
    go.disabled = true;
    fault.textContent = "";
    try {
      const response = await post("/v1/embeddings", { input: text }, { Prefer: "respond-async" });
      const body = await response.json();
      const one = {
        id: null,
        text: clipped(text, 300),
        at_ms: network.now(),
        status: "queued",
        answer: null,
        failure: null,
      };
      if (response.status === 202) one.id = body.id;
      else settle(one, body);
      asks = keepAsks([one, ...asks.filter((other) => other.id === null || other.id !== one.id)]);
      field.value = "";
    } catch (failure) {
      fault.textContent = failure.message;
    }
    go.disabled = false;
    update();
  });

  async function poll() {
    polling = true;
    for (const one of asks.filter((other) => other.id && !other.answer && !other.failure)) {
      try {
        const job = await get(`/v1/jobs/${one.id}`);
        one.status = job.status;
        if (job.response) settle(one, job.response);
        else if (job.error) one.failure = job.error.message;
      } catch (failure) {
        if (failure.status === 404) one.failure = failure.message;
      }
    }
    asks = keepAsks(asks);
    polling = false;
    update();
  }

  function update() {
    const status = network.status;
    const modality = status?.modality ?? TEXT;
    form.hidden = modality !== TEXT;
    files.hidden = !form.hidden;
    fill(files, modality, () =>
      modality === TEXT
        ? []
        : `This network embeds ${clipped(modality, 20)}: send it files from a program. What you submit becomes public.`,
    );
    fill(example, modality, () => [
      modality === TEXT
        ? `${CURL} \\\n  -d '{"input": "Some words to embed"}'`
        : `printf '{"input": "%s"}' "$(base64 < FILE | tr -d '\\n')" |\n  ${CURL} -d @-`,
    ]);
    const pending = asks.some((one) => one.id && !one.answer && !one.failure);
    const detail = pending && status ? network.followed(status.round) : null;
    fill(list, [asks, detail, pending && status?.round], () => {
      line = null;
      return asks.map((one) =>
        el(
          "article",
          { class: "asked" },
          el("p", { class: "words", dir: "auto" }, one.text),
          el("p", { class: "soft small" }, "asked ", moment(one.at_ms, network.now())),
          one.answer
            ? answered(one.answer)
            : one.failure
              ? el("p", { class: "alarm" }, one.failure)
              : waiting(one, detail),
        ),
      );
    });
  }

  function waiting(one, detail) {
    const words = one.status === "dealt" ? "It is in a round." : "It is queued for the next slot.";
    const first = asks.find((other) => other.id && !other.answer && !other.failure) === one;
    const shard = first ? detail?.shards?.[0] : null;
    if (shard)
      line = timeline(shard, {
        startsMs: network.startsMs(detail.round),
        slotMs: network.status.slot_ms,
        now: network.now(),
      });
    return [
      el("p", {}, stateWord("open"), ` ${words}`),
      shard
        ? [
            el(
              "p",
              { class: "small" },
              "Under way: ",
              el("a", { href: `#/rounds/${detail.round}` }, `round ${detail.round}`),
            ),
            line.node,
          ]
        : "",
    ];
  }

  function tick(now) {
    line?.tick(now);
    if (!polling && now - polled_ms > POLL_MS && asks.some((one) => one.id && !one.answer && !one.failure)) {
      polled_ms = now;
      poll();
    }
  }

  return { update, tick };
}

/** Keep of a response what is shown: the whole vector can be had again by its item. */
function settle(one, response) {
  const origin = response.deltamesh;
  const vector = response.data[0].embedding;
  one.answer = {
    ...origin.items[0],
    space: origin.space,
    epoch: origin.epoch,
    dimensions: vector.length,
    first: vector.slice(0, 96),
  };
}

function answered(answer) {
  const facts = [
    [
      "Certificate",
      el("a", { class: "mono", href: `/v1/certificates/${answer.certificate}` }, short(answer.certificate)),
    ],
    ["Round", el("a", { href: `#/rounds/${answer.round}` }, counted(answer.round))],
    ["Item", el("a", { class: "mono", href: `/v1/items/${answer.item_id}` }, short(answer.item_id))],
    ["Space", clipped(answer.space, 20)],
    ["Served", answer.served === "repeat" ? "at once: it was known" : "by its round"],
  ];
  return [
    el("p", {}, stateWord("certified"), ` ${plural(answer.dimensions, "number")}`),
    barcode(answer.first),
    el(
      "dl",
      { class: "facts" },
      facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))),
    ),
  ];
}

/** The first numbers of a vector as bars above and below a line. */
function barcode(numbers) {
  const most = Math.max(1e-9, ...numbers.map(Math.abs));
  const bar = (value) =>
    el("span", {
      "data-sign": value < 0 ? "below" : "above",
      style: { height: `${(50 * Math.abs(value)) / most}%` },
    });
  return el(
    "div",
    {
      class: "barcode",
      role: "img",
      "aria-label": `The first ${numbers.length} numbers, from ${decimal(Math.min(...numbers), 3)} to ${decimal(Math.max(...numbers), 3)}`,
    },
    numbers.map(bar),
  );
}
