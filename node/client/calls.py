"""Every call of the API, as the sync and the async client make it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from node.bundle import BUNDLE_BYTES_MAX
from node.client import answers
from node.client.answers.base import A
from node.client.call import Call, json_of, raw
from protocol.epochs.learnt import MOMENTS_BYTES_MAX
from protocol.epochs.record import RECORD_BYTES_MAX, TABLE_BYTES_MAX
from protocol.genesis import GENESIS_BYTES_MAX
from protocol.modalities import ITEM_BYTES_MAX

if TYPE_CHECKING:
    from node.client.answers.base import Vector

EMBED_TIMEOUT_S: Final = 60.0
"""Beyond what a certificate is waited for: hundreds of vectors are put together, too."""
BUNDLE_TIMEOUT_S: Final = 3600.0
CERTIFIED_RECORD_BYTES_MAX: Final = 2 * RECORD_BYTES_MAX
DOCUMENT_BYTES_MAX: Final = 64 << 20
"""Of answers that grow with the encoders of a network."""


def status() -> Call[answers.Status]:
    """The newest status of the validator."""
    return _get("/v1/status", answers.Status)


def metrics() -> Call[bytes]:
    """The page Prometheus reads."""
    return Call("GET", "/metrics", raw, bytes_max=DOCUMENT_BYTES_MAX)


def genesis() -> Call[bytes]:
    """Canonical genesis."""
    return _raw("/v1/genesis", GENESIS_BYTES_MAX)


def rounds(limit: int, before: int | None = None) -> Call[answers.RoundPage]:
    """One page of rounds, newest first."""
    return _get("/v1/rounds", answers.RoundPage, limit=limit, before=before)


def round_(number: int) -> Call[answers.RoundDetail]:
    """One round with all its shards."""
    return _get(f"/v1/rounds/{number:d}", answers.RoundDetail, bytes_max=DOCUMENT_BYTES_MAX)


def item(item_id: bytes, space: str | None = None) -> Call[answers.Item]:
    """One item, with its vector where a space is named."""
    encoding = "none" if space is None else "base64"
    return _get(f"/v1/items/{item_id.hex()}", answers.Item, embedding=encoding, space=space)


def content(item_id: bytes) -> Call[bytes]:
    """Canonical bytes of an item."""
    return _raw(f"/v1/items/{item_id.hex()}/content", ITEM_BYTES_MAX)


def proof(item_id: bytes) -> Call[answers.Proof]:
    """What binds an item's vector to a certificate."""
    return _get(f"/v1/items/{item_id.hex()}/proof", answers.Proof)


def epochs(limit: int, before: int | None = None) -> Call[answers.EpochPage]:
    """One page of epochs, newest first."""
    return _get("/v1/epochs", answers.EpochPage, limit=limit, before=before, bytes_max=DOCUMENT_BYTES_MAX)


def epoch(number: int) -> Call[answers.EpochDetail]:
    """One epoch."""
    return _get(f"/v1/epochs/{number:d}", answers.EpochDetail, bytes_max=DOCUMENT_BYTES_MAX)


def epoch_record(number: int) -> Call[bytes]:
    """Canonical CertifiedRecord."""
    return _raw(f"/v1/epochs/{number:d}/record", CERTIFIED_RECORD_BYTES_MAX)


def epoch_encoders(number: int) -> Call[bytes]:
    """Canonical EncoderTable."""
    return _raw(f"/v1/epochs/{number:d}/encoders", TABLE_BYTES_MAX)


def epoch_moments(number: int) -> Call[bytes]:
    """Canonical ConsensusMoments."""
    return _raw(f"/v1/epochs/{number:d}/moments", MOMENTS_BYTES_MAX)


def encoders(limit: int, after: str | None = None) -> Call[answers.EncoderPage]:
    """One page of the encoders of the newest epoch, in key order."""
    return _get("/v1/encoders", answers.EncoderPage, limit=limit, after=after)


def encoder(public_key: bytes, rounds: int) -> Call[answers.EncoderHistory]:
    """One encoder over the newest rounds."""
    path = f"/v1/encoders/{public_key.hex()}"
    return _get(path, answers.EncoderHistory, rounds=rounds, bytes_max=DOCUMENT_BYTES_MAX)


def validators(limit: int, after: str | None = None) -> Call[answers.ValidatorPage]:
    """One page of the validators of the newest epoch, in key order."""
    return _get("/v1/validators", answers.ValidatorPage, limit=limit, after=after)


def peers(limit: int, after: str | None = None) -> Call[answers.PeerPage]:
    """One page of whom the validator is connected to, in key order."""
    return _get("/v1/peers", answers.PeerPage, limit=limit, after=after)


def evidence(limit: int, before: int | None = None) -> Call[answers.EvidencePage]:
    """One page of proofs of misbehaviour, newest first."""
    return _get("/v1/evidence", answers.EvidencePage, limit=limit, before=before)


def disputes(round_: int | None, limit: int, before: int | None = None) -> Call[answers.DisputePage]:
    """One page of refusals of reports, of one round or of all, newest first."""
    return _get("/v1/disputes", answers.DisputePage, round=round_, limit=limit, before=before)


def bundle(digest: bytes) -> Call[int]:
    """A certified report as a file; it goes to a download, which tells its size."""
    return Call(
        "GET",
        f"/v1/reports/{digest.hex()}/bundle",
        len,
        headers={"Accept": "application/octet-stream"},
        bytes_max=BUNDLE_BYTES_MAX,
        timeout_s=BUNDLE_TIMEOUT_S,
    )


def embed(texts: Sequence[str], model: str, wait_s: int) -> Call[answers.EmbeddingList | answers.Job]:
    """Embed texts: certified within `wait_s`, or a job that goes on. The same texts have the same job."""
    either: Any = answers.EmbeddingList | answers.Job
    return Call(
        "POST",
        "/v1/embeddings",
        json_of(either),
        body={"model": model, "input": list(texts), "encoding_format": "base64"},
        headers={"Prefer": f"respond-async, wait={wait_s:d}"},
        bytes_max=DOCUMENT_BYTES_MAX,
        timeout_s=wait_s + EMBED_TIMEOUT_S,
    )


def job(job_id: str) -> Call[answers.Job]:
    """How far an embedding has come, and what came of it."""
    return _get(f"/v1/jobs/{quote(job_id, safe='')}", answers.Job, bytes_max=DOCUMENT_BYTES_MAX)


def search(
    text: str | None,
    item_id: bytes | None,
    vector: Vector | Sequence[float] | None,
    k: int,
    space: str,
    certified: bool,
    filters: Mapping[str, object],
) -> Call[answers.SearchResult]:
    """What lies nearest to exactly one of text, item and vector."""
    body: dict[str, object] = {"k": k, "space": space, "certified": certified}
    if text is not None:
        body["text"] = text
    if item_id is not None:
        body["item_id"] = item_id.hex()
    if vector is not None:
        import numpy as np

        body["vector"] = b64encode(np.asarray(vector, "<f4").tobytes()).decode()
    if filters:
        body["filters"] = dict(filters)
    return Call("POST", "/v1/search", json_of(answers.SearchResult), body=body)


def _get(path: str, kind: type[A], *, bytes_max: int | None = None, **params: str | int | None) -> Call[A]:
    given = {name: value for name, value in params.items() if value is not None}
    found = Call("GET", path, json_of(kind), given)
    return found if bytes_max is None else Call("GET", path, json_of(kind), given, bytes_max=bytes_max)


def _raw(path: str, bytes_max: int) -> Call[bytes]:
    return Call("GET", path, raw, headers={"Accept": "application/octet-stream"}, bytes_max=bytes_max)
