"""What the API answers, as immutable typed records. Keys, digests and ids are hex, times Unix milliseconds.

Fields that a server leaves out have defaults, fields that it adds are ignored. What is here is the word of
the validator asked; only what `node.client.verification` returns was checked.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import msgspec

from node.client.errors import BadAnswerError
from node.status import PeerStatus

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Vector = npt.NDArray[np.float32]

DIMENSIONS: Final = 1024
VECTOR_BYTES: Final = 4 * DIMENSIONS

Digest = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Key = Digest
Terms = dict[str, float | None]
"""By name; None where the encoder had none."""


class Answer(msgspec.Struct, frozen=True):
    """Base of all answers."""


A = TypeVar("A", bound=Answer)


class Status(Answer, frozen=True):
    """What the validator asked says of itself."""

    role: str
    public_key: str
    network_id: str
    version: str
    started_ms: int
    updated_ms: int
    network: str = ""
    modality: str = ""
    slot_ms: int = 0
    genesis_ms: int = 0
    epoch: int = 0
    api: str | None = None
    addresses: tuple[str, ...] = ()
    peers: int = 0
    """Connected; `peers` names them."""
    round: int = -1
    last_certified_round: int | None = None
    phase: str = ""
    counters: dict[str, int] = {}


class PeerList(Answer, frozen=True):
    """Connected peers."""

    peers: tuple[PeerStatus, ...]


class Round(Answer, frozen=True):
    """One shard of a round."""

    round: int
    shard: int
    epoch: int
    state: str
    updated_ms: int
    dealer: str | None = None
    report: str | None = None
    items: int | None = 0
    embeddings: int | None = 0
    timings_ms: dict[str, int] = {}


class RoundPage(Answer, frozen=True):
    """Newest first."""

    rounds: tuple[Round, ...]
    next_before: int | None = None


class Score(Answer, frozen=True):
    """Of one encoder in one shard-round."""

    encoder: Key
    score: float | None
    weight: float | None
    terms: Terms = {}


class Step(Answer, frozen=True):
    """One step of a shard-round, as the validator asked saw it; `wave` is 0 where there is none."""

    step: str
    wave: int
    elapsed_ms: int
    answered: tuple[Key, ...]
    missing: tuple[Key, ...]
    detail: str
    at_ms: int


class Dispute(Answer, frozen=True):
    """One validator's refusal of one report; terms and details are empty where its bytes cannot be read."""

    disputer: str
    digest: str = ""
    round: int | None = None
    shard: int | None = None
    report: str | None = None
    dealer: str | None = None
    term: str | None = None
    encoder: str | None = None
    difference_ppm: int | None = None
    detail: str | None = None
    stake: int | None = None
    received_ms: int | None = None


class RoundShard(Round, frozen=True):
    """All the validator asked knows of one shard-round."""

    scores: tuple[Score, ...] = ()
    steps: tuple[Step, ...] = ()
    attestations: tuple[Key, ...] = ()
    stake: int | None = 0
    """Of those who attested."""
    total_stake: int | None = 0
    disputes: tuple[Dispute, ...] = ()


class RoundDetail(Answer, frozen=True):
    """A round with all its shards."""

    round: int
    epoch: int
    shards: tuple[RoundShard, ...]
    starts_ms: int = 0


class ItemEmbedding(Answer, frozen=True):
    """A vector of one space."""

    space: str | int
    vector: str | list[float]
    """As it travelled: base64 of little-endian float32, or numbers."""
    dimensions: int = DIMENSIONS

    @property
    def values(self) -> Vector:
        """Float32 [1024]. Raises BadAnswerError where it is none."""
        return vector_of(self.vector)


class Item(Answer, frozen=True):
    """One submitted or scored item."""

    item_id: Digest
    state: str
    modality: str = ""
    text: str | None = None
    submitted_ms: int | None = None
    round: int | None = None
    shard: int | None = None
    epoch: int | None = None
    certificate: str | None = None
    """Digest of the report that is certified."""
    embedding: ItemEmbedding | None = None


class Proof(Answer, frozen=True):
    """What binds an item's raw vector to a certificate; to be checked, not to be believed."""

    network_id: Digest
    item_id: Digest
    round: int
    shard: int
    epoch: int
    position: int
    items: int
    vector: str
    """Base64 of 4,096 bytes: raw, little-endian float32."""
    merkle_proof: Annotated[tuple[Digest, ...], msgspec.Meta(max_length=64)]
    header: str
    """Base64 of the Report statement's envelope."""
    certificate: str
    """Base64 of the canonical Certificate."""


class EmbeddedItem(Answer, frozen=True):
    """Where one embedding comes from."""

    item_id: Digest
    round: int | None = None
    shard: int | None = None
    certificate: Digest | None = None
    served: str = ""
    """`repeat`, or `round` where one was awaited."""


class EmbeddedDatum(Answer, frozen=True):
    """One vector of an answer in OpenAI's shape."""

    index: int
    embedding: str | list[float]


class Usage(Answer, frozen=True):
    """As OpenAI counts; deltamesh's tokens are words."""

    prompt_tokens: int = 0
    total_tokens: int = 0


class Certified(Answer, frozen=True):
    """What deltamesh adds to OpenAI's shape."""

    network_id: Digest
    items: tuple[EmbeddedItem, ...]
    space: str | int
    epoch: int | None = None
    public: bool = True


class EmbeddingList(Answer, frozen=True):
    """The answer to POST /v1/embeddings."""

    data: tuple[EmbeddedDatum, ...]
    deltamesh: Certified
    model: str = ""
    usage: Usage = Usage()


class Job(Answer, frozen=True):
    """An embedding under way."""

    id: str
    status: str
    """`pending`, `done` or `failed`."""
    items: int | tuple[EmbeddedItem, ...] | None = None
    done: int | None = None
    result: EmbeddingList | None = None
    error: dict[str, Any] | None = None


class Neighbour(Answer, frozen=True):
    """One hit of a search."""

    item_id: Digest
    score: float
    preview: str | None = None
    round: int | None = None
    shard: int | None = None
    certificate: str | None = None


class SearchResult(Answer, frozen=True):
    """Nearest first."""

    neighbours: tuple[Neighbour, ...]
    space: str | int = ""
    method: str = ""
    recall: float | None = None
    searched: int | None = None
    certified: bool = False


class Encoder(Answer, frozen=True):
    """An encoder as the newest epoch has it; score and weight are means over the last 20 scored rounds."""

    public_key: Key
    stake: int = 0
    reputation: float | None = None
    probation: bool = False
    model: str | None = None
    score: float | None = None
    weight: float | None = None
    terms: Terms | None = None
    """Of the newest scored round."""
    lof: float | None = None
    rounds: int | None = None
    last_round: int | None = None


class EncoderRound(Answer, frozen=True):
    """How an encoder did in one shard-round."""

    round: int
    shard: int
    epoch: int
    score: float | None
    weight: float | None
    terms: Terms = {}


class EncoderHistory(Encoder, frozen=True):
    """One encoder, with its shard-rounds, newest first."""

    history: tuple[EncoderRound, ...] = ()


class EncoderList(Answer, frozen=True):
    """The encoders of an epoch."""

    encoders: tuple[Encoder, ...]
    epoch: int = 0


class Validator(Answer, frozen=True):
    """A validator as the newest epoch has it."""

    public_key: Key
    stake: int


class ValidatorList(Answer, frozen=True):
    """The validators of an epoch."""

    validators: tuple[Validator, ...]
    epoch: int = 0
    total_stake: int | None = None


class EvidenceItem(Answer, frozen=True):
    """A proof of misbehaviour."""

    digest: Digest
    offender: str
    kind: str = ""
    round: int | None = None


class EvidenceList(Answer, frozen=True):
    """Newest first."""

    evidence: tuple[EvidenceItem, ...]
    next_before: int | None = None


class DisputeList(Answer, frozen=True):
    """Of one round, or the newest."""

    disputes: tuple[Dispute, ...]


class EpochEntry(Answer, frozen=True):
    """One epoch; `record` is the record decoded, as JSON."""

    epoch: int
    digest: Digest
    record: dict[str, Any] = {}
    encoders: Any = None
    validators: Any = None


class EpochPage(Answer, frozen=True):
    """Newest first."""

    epochs: tuple[EpochEntry, ...]
    next_before: int | None = None


def vector_of(told: str | list[float]) -> Vector:
    """Float32 [1024] of a vector as it travelled, finite. Raises BadAnswerError."""
    import numpy as np

    if isinstance(told, str):
        data = bytes_of(told)
        if len(data) != VECTOR_BYTES:
            raise BadAnswerError(f"a vector of {len(data)} bytes where {VECTOR_BYTES} belong")
        found = np.frombuffer(data, "<f4").astype(np.float32)
    else:
        if len(told) != DIMENSIONS:
            raise BadAnswerError(f"a vector of {len(told)} numbers where {DIMENSIONS} belong")
        with np.errstate(over="ignore"):
            found = np.array(told, np.float64).astype(np.float32)
    if not np.isfinite(found).all():
        raise BadAnswerError("a vector that is not finite: no embedding is")
    return found


def bytes_of(text: str) -> bytes:
    """Base64 as RFC 4648 has it, nothing else in it. Raises BadAnswerError."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadAnswerError(f"a field that should be base64 is none: {error}") from None
