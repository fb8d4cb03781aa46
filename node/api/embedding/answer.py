"""The JSON of a response: vectors in one space, each with the certificate that stands for it."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from node.api.embedding.jobs import Encoding, Job
from node.api.errors import ApiError
from node.api.service import Service
from node.space import Space, SpaceError
from node.store import CertifiedEmbedding

MODEL: Final = "deltamesh"

Vector = npt.NDArray[np.float32]


class Answer:
    """Makes answers in one space. Put together piece by piece: no step holds the lock long."""

    def __init__(self, service: Service, space: Space) -> None:
        self._service = service
        self._space = space

    def of(self, job: Job) -> bytes:
        """The answer to a job that is done, as JSON. Raises ApiError that names an item without embedding."""
        found = self._service.store.certified_embeddings(job.item_ids)
        for index, name in enumerate(job.items):
            if bytes.fromhex(name) not in found:
                raise self._without(index, name)
        vectors = self._placed(found)
        for index, name in enumerate(job.items):
            if not np.isfinite(vectors[bytes.fromhex(name)]).all():
                raise _without_direction(index, self._space.name)
        data = b",".join(
            b'{"object":"embedding","index":%d,"embedding":%s}'
            % (index, _encoded(vectors[bytes.fromhex(name)], job.encoding))
            for index, name in enumerate(job.items)
        )
        usage = msgspec.json.encode({"prompt_tokens": job.units, "total_tokens": job.units})
        told = msgspec.json.encode(self._told(job, found))
        return b'{"object":"list","data":[%s],"model":"%s","usage":%s,"deltamesh":%s}' % (
            data,
            MODEL.encode(),
            usage,
            told,
        )

    def _without(self, index: int, name: str) -> ApiError:
        states = self._service.store.item_states([bytes.fromhex(name)])
        _, round_ = states.get(bytes.fromhex(name), (None, None))
        return ApiError(
            422,
            f"input[{index}] has no embedding: round {round_} certified item {name} without one, for no "
            "encoder gave a valid answer to it; the same request has it dealt once more",
            param=f"input[{index}]",
            code="no_embedding",
        )

    def _placed(self, found: Mapping[bytes, CertifiedEmbedding]) -> dict[bytes, Vector]:
        placed: dict[bytes, Vector] = {}
        records = sorted((one.embedding for one in found.values()), key=lambda record: record.space_epoch)
        for epoch, group in groupby(records, key=lambda record: record.space_epoch):
            of_epoch = list(group)
            raw = np.frombuffer(b"".join(one.vector for one in of_epoch), "<f4").reshape(len(of_epoch), -1)
            try:
                vectors = self._space.place(raw, epoch)
            except SpaceError as error:
                raise ApiError(503, str(error), headers={"Retry-After": "5"}) from None
            placed.update(zip((one.item_id for one in of_epoch), vectors, strict=True))
        return placed

    def _told(self, job: Job, found: Mapping[bytes, CertifiedEmbedding]) -> Mapping[str, object]:
        def items() -> Iterator[Mapping[str, object]]:
            for name, served in zip(job.items, job.served, strict=True):
                one = found[bytes.fromhex(name)]
                yield {
                    "item_id": name,
                    "round": one.embedding.round,
                    "shard": one.embedding.shard,
                    "certificate": one.report.hex(),
                    "served": served,
                }

        return {
            "network_id": self._service.genesis.network_id.hex(),
            "space": self._space.name,
            "epoch": self._space.epoch,
            "public": True,
            "items": list(items()),
        }


def _without_direction(index: int, space: str) -> ApiError:
    return ApiError(
        422,
        f"input[{index}] has no embedding in space {space}: its consensus lies at the middle of it, where no "
        "direction is better than another; /v1/items serves the raw vector",
        param=f"input[{index}]",
        code="no_embedding",
    )


def _encoded(vector: Vector, encoding: Encoding) -> bytes:
    if encoding is Encoding.BASE64:
        return b'"%s"' % base64.b64encode(vector.astype("<f4", copy=False).tobytes())
    # A float32 goes through a double and its shortest decimals unchanged.
    return msgspec.json.encode(vector.tolist())
