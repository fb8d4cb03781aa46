"""Every metric of a node, in the order the page lists them (docs/metrics.md is written from here)."""

from __future__ import annotations

from typing import Final

from node.metrics import network_catalogue as n
from node.metrics.metric import Exporter, Kind, Label, Metric
from protocol.messages import Offence

_C, _G, _H = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM
_V, _E = Exporter.VALIDATOR, Exporter.ENCODER

STATISTICS: Final = ("min", "median", "max")
TERMS: Final = (
    "discrimination",
    "differential",
    "differential_literal",
    "local_outlier_factor",
    "majority_similarity",
    "innovation",
    "leak",
    "availability",
)
"""Terms of a score that are shown: those that are measured, not the ramps made of them."""
QUEUES: Final = ("driver", "recorder", "scoring", "items", "listeners", "embeddings", "waves")
OFFENCES: Final = tuple(offence.value for offence in Offence)

_STATISTIC = Label("statistic", STATISTICS)
_WAVE = Label("wave", ("1", "2", "3"))
_OUTCOME = Label("outcome", ("answered", "missing"))
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 20.0, 30.0, 60.0, 120.0)
_QUICK_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

# -- the node ------------------------------------------------------------------------------------------------

BUILD = Metric(
    "deltamesh_build_info",
    _G,
    "Always 1; which software runs, as which role.",
    (Label("version", what="the installed version"), Label("role", ("validator", "encoder"))),
)
STATUS_AGE = Metric(
    "deltamesh_status_age_seconds",
    _G,
    "Since the node's loop last told its status; it does so every second, so more says that it hangs.",
)
QUEUE = Metric(
    "deltamesh_queue_length",
    _G,
    "What waits in a queue of this node. `listeners` are those of the event stream, `embeddings` requests "
    "that wait for certificates, `waves` those an encoder's model has not begun.",
    (Label("queue", QUEUES),),
)
QUEUE_LIMIT = Metric(
    "deltamesh_queue_limit",
    _G,
    "The bound of that queue; what comes beyond is dropped or refused.",
    QUEUE.labels,
)
DROPPED = Metric(
    "deltamesh_dropped_total",
    _C,
    "What was lost because something was full or slow: statements for a full `inbox`, rows not `written`, "
    "statements not `sent`, `pairs` not gathered, `blobs` there was no room for, `events` that the API's "
    "process did not take in.",
    (Label("what", ("inbox", "written", "sent", "pairs", "blobs", "events")),),
)
FAULTS = Metric(
    "deltamesh_faults_total",
    _C,
    "Exceptions stopped at a boundary: faults of this software, which the log shows.",
    (Label("where", ("driver", "network")),),
)
COLLECT = Metric(
    "deltamesh_collect_seconds", _G, "What it took to read the store and the disk for this scrape."
)
COLLECT_FAILED = Metric(
    "deltamesh_collect_failures_total",
    _C,
    "Scrapes in which the store or the status could not be read; what they tell was left out.",
)

# -- rounds ------------------------------------------------------------------------------------------------

ROUND_STATES: Final = ("dealt", "revealed", "reported", "attested", "disputed", "certified", "void")
ROUNDS = Metric(
    "deltamesh_rounds_total",
    _C,
    "Shard-rounds that reached a state here, each counted once: `dealt`, `revealed` and `reported` by this "
    "node itself (an encoder's `revealed`: its own answers), `attested` and `disputed` by its vote.",
    (Label("state", ROUND_STATES),),
)
ROUND = Metric("deltamesh_round", _G, "The round whose slot it is by this node's clock.")
SLOT = Metric("deltamesh_slot_seconds", _G, "Length of a slot.")
CERTIFIED_ROUND = Metric("deltamesh_certified_round", _G, "The newest certified round known here.")
CERTIFIED_AT = Metric(
    "deltamesh_certified_timestamp_seconds",
    _G,
    "When the newest certified round was written down here.",
    exporter=_V,
)
LATENCY = Metric(
    "deltamesh_round_seconds",
    _H,
    "From the begin of the slot to the certificate, for every round certified while this node watched.",
    buckets=_SECONDS,
    exporter=_V,
)
WAVE = Metric(
    "deltamesh_wave_seconds",
    _H,
    "From a wave's key to its lock, in rounds that this node dealt.",
    (_WAVE,),
    _SECONDS,
    _V,
)
WAVE_ANSWERS = Metric(
    "deltamesh_wave_answers_total",
    _C,
    "Encoders that committed in time to a wave of a round dealt here, and those that did not.",
    (_WAVE, _OUTCOME),
    exporter=_V,
)
LATE = Metric(
    "deltamesh_late_commits_total", _C, "Commits that came after the lock of their wave.", exporter=_V
)
REVEAL = Metric(
    "deltamesh_reveal_seconds",
    _H,
    "From the last lock until all revealed answers were here, in rounds dealt here.",
    buckets=_SECONDS,
    exporter=_V,
)
REVEALS = Metric(
    "deltamesh_reveals_total",
    _C,
    "Encoders whose answers were revealed in rounds dealt here, and those that committed and withheld them.",
    (_OUTCOME,),
    exporter=_V,
)
REPORT = Metric(
    "deltamesh_report_seconds",
    _H,
    "From the last reveal to the report, in rounds dealt here: scoring, for the most part.",
    buckets=_SECONDS,
    exporter=_V,
)
SCORING = Metric(
    "deltamesh_scoring_seconds",
    _H,
    "One request to the scoring process, with the wait for it: `score` for a report of one's own, `compare` "
    "to verify another's.",
    (Label("task", ("score", "compare")),),
    _SECONDS,
    _V,
)
SCORING_FAILED = Metric(
    "deltamesh_scoring_failures_total",
    _C,
    "Requests to the scoring process that gave nothing.",
    SCORING.labels,
    exporter=_V,
)
EMBEDDINGS = Metric(
    "deltamesh_embeddings_total", _C, "Consensus embeddings this node has written down, ever.", exporter=_V
)

# -- scores ------------------------------------------------------------------------------------------------

SCORED = Metric(
    "deltamesh_scored_encoders",
    _G,
    "Encoders of the newest certified round's shards, by whether they had weight in the consensus.",
    (Label("weight", ("some", "none")),),
    exporter=_V,
)
SCORE = Metric(
    "deltamesh_score",
    _G,
    "Over the encoders of the newest certified round: the score S, 0 to 1.",
    (_STATISTIC,),
    exporter=_V,
)
WEIGHT = Metric(
    "deltamesh_weight_ratio",
    _G,
    "Over the encoders of the newest certified round: the share in the consensus.",
    (_STATISTIC,),
    exporter=_V,
)
TERM = Metric(
    "deltamesh_score_term",
    _G,
    "Over the live encoders of the newest certified round: a term of the score, LOF among them.",
    (Label("term", TERMS), _STATISTIC),
    exporter=_V,
)

# -- agreement ---------------------------------------------------------------------------------------------

EPOCH = Metric("deltamesh_epoch", _G, "The newest epoch whose record is known here.")
EPOCH_DUE = Metric("deltamesh_epoch_due", _G, "The epoch of the current slot by this node's clock.")
EPOCH_RECORDS = Metric(
    "deltamesh_epoch_records_total",
    _C,
    "Epoch records decided on while this node watched, and proposals that it refused.",
    (Label("outcome", ("decided", "refused")),),
    exporter=_V,
)
EPOCH_SLOT = Metric(
    "deltamesh_epoch_decided_slot",
    _G,
    "The slot of its epoch in which the newest record was decided on; negative before its begin.",
    exporter=_V,
)
MEMBERS = Metric(
    "deltamesh_members",
    _G,
    "Members of the newest epoch.",
    (Label("role", ("validator", "encoder")),),
)
STAKE = Metric(
    "deltamesh_validator_stake",
    _G,
    "Bonded stake of the newest epoch's validators, by whether they are connected to this node (or are it).",
    (Label("presence", ("connected", "absent")),),
)
ATTESTED = Metric(
    "deltamesh_attested_ratio",
    _G,
    "Share of the bonded stake that has attested the last certified round but one.",
    exporter=_V,
)
QUORUM = Metric(
    "deltamesh_quorum_ratio", _G, "Share of the bonded stake that a certificate needs.", exporter=_V
)
DISPUTES = Metric(
    "deltamesh_disputes_total", _C, "Disputes of reports this node has written down, ever.", exporter=_V
)
EVIDENCE = Metric(
    "deltamesh_evidence_total",
    _C,
    "Pieces of evidence against members this node has written down, ever.",
    (Label("offence", OFFENCES),),
    exporter=_V,
)

# -- storage -----------------------------------------------------------------------------------------------

STORE_BYTES = Metric("deltamesh_store_bytes", _G, "The store's database with its log.", exporter=_V)
STORE_LIMIT = Metric("deltamesh_store_limit_bytes", _G, "The bound of the database.", exporter=_V)
BLOBS_BYTES = Metric("deltamesh_blobs_bytes", _G, "Blobs on disk.", exporter=_V)
BLOBS_LIMIT = Metric("deltamesh_blobs_limit_bytes", _G, "Their bound, `blob_bytes_max`.", exporter=_V)
DISK_FREE = Metric("deltamesh_disk_free_bytes", _G, "Left on the disk of the data directory, for this user.")
DISK = Metric("deltamesh_disk_bytes", _G, "Size of the disk of the data directory.")

# -- the API -----------------------------------------------------------------------------------------------

HTTP_METHODS: Final = ("GET", "HEAD", "POST", "OPTIONS", "other")
HTTP_REQUESTS = Metric(
    "deltamesh_http_requests_total",
    _C,
    "Requests answered, by the template of their route; `unmatched` where there is none, `refused` where a "
    "guard answered (tokens, rate, size) before a route was looked for.",
    (
        Label("route", what="templates of routes"),
        Label("method", HTTP_METHODS),
        Label("status", ("1xx", "2xx", "3xx", "4xx", "5xx")),
    ),
    exporter=_V,
)
HTTP_SECONDS = Metric(
    "deltamesh_http_response_start_seconds",
    _H,
    "From the request to the first byte of its response; a stream goes on after that.",
    (Label("route", what="templates of routes"),),
    _QUICK_SECONDS,
    _V,
)
HTTP_OPEN = Metric(
    "deltamesh_http_requests_in_progress", _G, "Requests under way, streams among them.", exporter=_V
)

# -- encoders ----------------------------------------------------------------------------------------------

MODEL = Metric(
    "deltamesh_model_seconds",
    _H,
    "From a wave's views to the model's answers, with the wait for the model.",
    (_WAVE,),
    _SECONDS,
    _E,
)
MODEL_VIEWS = Metric("deltamesh_model_views_total", _C, "Views the model has embedded.", exporter=_E)
WAVES = Metric(
    "deltamesh_waves_total",
    _C,
    "Waves asked of the model: `answered`; `refused`, for too many waited; `skipped`, over before the model "
    "was free; `failed`, the model's own error.",
    (Label("outcome", ("answered", "refused", "skipped", "failed")),),
    exporter=_E,
)
OWN_ROUNDS = Metric(
    "deltamesh_own_rounds_total",
    _C,
    "Certified rounds in which this encoder was scored, of those whose report it reads, by whether it had "
    "weight.",
    SCORED.labels,
    exporter=_E,
)
OWN_SCORE = Metric("deltamesh_own_score", _G, "This encoder's score in the newest of them.", exporter=_E)
OWN_WEIGHT = Metric(
    "deltamesh_own_weight_ratio", _G, "Its share in the consensus of the newest of them.", exporter=_E
)
OWN_REPUTATION = Metric(
    "deltamesh_own_reputation_ratio", _G, "Its reputation in the newest epoch record, 0 to 1.", exporter=_E
)
OWN_STAKE = Metric(
    "deltamesh_own_stake", _G, "Its stake in the newest epoch record; 0 where it is no member.", exporter=_E
)

SECTIONS: Final[dict[str, tuple[Metric, ...]]] = {
    "The node": (BUILD, STATUS_AGE, QUEUE, QUEUE_LIMIT, DROPPED, FAULTS, COLLECT, COLLECT_FAILED),
    "Rounds": (
        *(ROUNDS, ROUND, SLOT, CERTIFIED_ROUND, CERTIFIED_AT, LATENCY, WAVE, WAVE_ANSWERS, LATE),
        *(REVEAL, REVEALS, REPORT, SCORING, SCORING_FAILED, EMBEDDINGS),
    ),
    "Scores": (SCORED, SCORE, WEIGHT, TERM),
    "Agreement": (
        *(EPOCH, EPOCH_DUE, EPOCH_RECORDS, EPOCH_SLOT, MEMBERS, STAKE, ATTESTED, QUORUM),
        *(DISPUTES, EVIDENCE),
    ),
    "The network": n.NETWORK,
    "Storage": (STORE_BYTES, STORE_LIMIT, BLOBS_BYTES, BLOBS_LIMIT, DISK_FREE, DISK),
    "The API": (HTTP_REQUESTS, HTTP_SECONDS, HTTP_OPEN),
    "Encoders": (MODEL, MODEL_VIEWS, WAVES, OWN_ROUNDS, OWN_SCORE, OWN_WEIGHT, OWN_REPUTATION, OWN_STAKE),
}
METRICS: Final = tuple(metric for section in SECTIONS.values() for metric in section)
