"""Items: where one stands, its embedding, its content, and the proof that the embedding is certified."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Final

import numpy as np
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from node.api.answers import BYTES_ANSWER, answer, refusals, unchanging
from node.api.certified import certified_of
from node.api.ids import Digest, bytes_of, unknown
from node.api.models.base import base64
from node.api.models.items import Item, ItemEmbedding, ItemProof
from node.api.opened_reports import ReportNotHeldError
from node.api.reading import Reading, ReadingOf
from node.api.remembered import RememberedRoute
from node.api.service import Service, ServiceOf
from node.space import NEWEST
from node.store import EmbeddingRecord, ItemRecord, ItemState, RoundRecord
from protocol.report import DIMENSIONS

router = APIRouter(prefix="/v1/items", tags=["items"], route_class=RememberedRoute)

_SPACE_CHARS_MAX: Final = 16


class VectorForm(StrEnum):
    """How the vector is written."""

    FLOAT = "float"
    BASE64 = "base64"
    NONE = "none"


EmbeddingQuery = Annotated[
    VectorForm, Query(description="float: numbers; base64: little-endian float32; none: leave it out.")
]
SpaceQuery = Annotated[
    str,
    Query(
        max_length=_SPACE_CHARS_MAX,
        description="newest: shaped by the newest epoch's transform; raw: as certified; or an epoch.",
        json_schema_extra={"pattern": "^(newest|raw|[0-9]{1,15})$"},
    ),
]


@router.get(
    "/{item_id}",
    operation_id="get_item",
    summary="One item: where it stands, and its embedding",
    response_model=Item,
    responses=refusals(400, 404),
)
def get_item(
    service: ServiceOf,
    reading: ReadingOf,
    item_id: Digest,
    embedding: EmbeddingQuery = VectorForm.FLOAT,
    space: SpaceQuery = NEWEST,
) -> Response:
    """Submitted items and those of certified rounds, challenge items too. Everything here is public."""
    found = _Found(service, bytes_of(item_id, "item_id"))
    modality = service.genesis.modality.name
    told = None
    if found.embedding is not None and embedding is not VectorForm.NONE:
        told = _embedding(reading, found.embedding, embedding, space)
    content = found.content(reading) if modality == "text" else None
    item = found.item
    return answer(
        Item(
            item_id=found.name.hex(),
            state=ItemState.CERTIFIED if item is None else item.state,
            modality=modality,
            text=None if content is None else content.decode(),
            submitted_ms=None if item is None or not item.submitted_ms else item.submitted_ms,
            round=found.round,
            shard=None if found.embedding is None else found.embedding.shard,
            epoch=found.epoch,
            certificate=found.certificate,
            embedding=told,
        )
    )


@router.get(
    "/{item_id}/content",
    operation_id="get_item_content",
    summary="The canonical bytes of an item",
    response_class=Response,
    responses=BYTES_ANSWER | refusals(400, 404),
)
def get_item_content(request: Request, service: ServiceOf, reading: ReadingOf, item_id: Digest) -> Response:
    """What the item's id is the digest of."""
    found = _Found(service, bytes_of(item_id, "item_id"))
    data = found.content(reading)
    if data is None:
        raise unknown(
            f"only the id of item {item_id[:16]} is known here, not its content",
            "the validator it was submitted to has it, all others once its round is certified",
            "item_id",
            "content_not_held",
        )
    return unchanging(request, found.name, data)


@router.get(
    "/{item_id}/proof",
    operation_id="get_item_proof",
    summary="The proof that an embedding is certified",
    response_model=ItemProof,
    responses=refusals(400, 404),
)
def get_item_proof(service: ServiceOf, reading: ReadingOf, item_id: Digest) -> Response:
    """Header, certificate and the Merkle path to the raw vector: checked by a client that trusts nobody."""
    found = _Found(service, bytes_of(item_id, "item_id"))
    certified = None if found.record is None else certified_of(service, found.record)
    if found.embedding is None or found.record is None or certified is None:
        raise unknown(
            f"item {item_id[:16]} has no certified embedding here",
            "ask again when its round is certified; one that nobody answered well has none: submit it again",
            "item_id",
            "not_certified",
        )
    try:
        report = reading.reports.open(found.record)
        position = report.position_of(found.name)
    except ReportNotHeldError as error:
        attested = ", ".join(vote.validator.hex()[:8] for vote in certified.certificate.attestations[:8])
        raise unknown(
            f"{error}, so the proof cannot be made",
            f"ask a validator that attested it: {attested}",
            "item_id",
            "body_not_held",
        ) from None
    return answer(
        ItemProof(
            network_id=service.genesis.network_id.hex(),
            item_id=found.name.hex(),
            round=found.record.round,
            shard=found.record.shard,
            epoch=found.record.epoch,
            position=position,
            items=len(report.tree),
            vector=base64(found.embedding.vector),
            merkle_proof=tuple(node.hex() for node in report.tree.proof(position)),
            header=base64(certified.header.data),
            certificate=base64(certified.certificate_data),
        )
    )


class _Found:
    """What the store has on an item. Raises ApiError when that is nothing, StoreError."""

    def __init__(self, service: Service, name: bytes) -> None:
        self._service = service
        self.name = name
        self.item: ItemRecord | None = service.store.item(name)
        self.embedding: EmbeddingRecord | None = service.store.embedding(name)
        self.record: RoundRecord | None = None
        """The shard-round it was embedded in."""
        if self.embedding is not None:
            self.record = service.store.round(self.embedding.round, self.embedding.shard)
        elif self.item is None:
            raise unknown(
                f"this node does not know item {name.hex()[:16]}",
                "submit it with POST /v1/embeddings or `deltamesh submit`, or ask the validator that got it",
                "item_id",
                "unknown_item",
            )

    @property
    def round(self) -> int | None:
        """The round it was embedded in, or is on its way in."""
        if self.embedding is not None:
            return self.embedding.round
        return None if self.item is None else self.item.round

    @property
    def epoch(self) -> int | None:
        """Of that round."""
        return None if self.round is None else self.round // self._service.genesis.parameters.epoch_rounds

    @property
    def certificate(self) -> str | None:
        """The id of the certificate that binds the embedding."""
        name = None if self.record is None else self.record.report_digest
        return None if name is None else name.hex()

    def content(self, reading: Reading) -> bytes | None:
        """Its canonical bytes: as submitted here, else from the report of its round."""
        if self.item is not None and self.item.content is not None:
            return self.item.content
        for record in self._records():
            try:
                report = reading.reports.open(record)
            except ReportNotHeldError:
                continue
            position = report.positions.get(self.name)
            if position is not None:
                return report.items[position]
        return None

    def _records(self) -> Iterator[RoundRecord]:
        """Whose report may hold it: of an item without an embedding, no table says which shard it was."""
        if self.record is not None:
            yield self.record
        elif self.round is not None and self.item is not None and self.item.state is ItemState.CERTIFIED:
            for shard in range(self._service.genesis.parameters.shards_per_round):
                record = self._service.store.round(self.round, shard)
                if record is not None:
                    yield record


def _embedding(reading: Reading, record: EmbeddingRecord, encoding: VectorForm, wanted: str) -> ItemEmbedding:
    space = reading.spaces.open(wanted)
    data = reading.spaces.place(record, space)
    return ItemEmbedding(
        space=space.name,
        dimensions=DIMENSIONS,
        vector=base64(data) if encoding is VectorForm.BASE64 else tuple(np.frombuffer(data, "<f4").tolist()),
    )
