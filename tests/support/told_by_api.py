"""A network with certified epochs and moments, and an API over it in memory that can be made to lie."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt

from node.epochs.learning import ShardVectors, learn_from
from node.shaping import Transform, transform_of
from protocol.certificates import make_certificate
from protocol.codec import encode
from protocol.epochs.agreed import CertifiedRecord
from protocol.epochs.known import Epochs
from protocol.epochs.learnt import NOTHING_LEARNT, Learnt, moments_from
from protocol.epochs.record import NOTHING
from protocol.epochs.transition import next_epoch, no_inputs
from protocol.epochs.view import Epoch
from protocol.genesis import Genesis
from protocol.hashing import digest
from protocol.items import item_id
from protocol.merkle import MerkleTree
from protocol.messages import (
    Attestation,
    AttestationRef,
    Body,
    Certificate,
    EpochCertificate,
    Precommit,
    Report,
)
from protocol.report import DIMENSIONS, consensus_leaves
from protocol.schedule import ShardRound, dealer_of, shard_round
from protocol.signatures import sign
from protocol.statement import Statement, assemble, statement_digest
from tests.support.genesis import small_network, text_items

EPOCHS = 3
ITEMS = 11
"""Not a power of two: proofs differ in length."""
LEARNT_IN = 2
"""First epoch whose record has means and moments."""


@dataclass(frozen=True)
class Batch:
    """A certified shard-round, as far as proofs need it."""

    epoch: Epoch
    header: Statement[Report]
    certificate: Certificate
    items: tuple[bytes, ...]
    vectors: npt.NDArray[np.float32]
    tree: MerkleTree


@dataclass(frozen=True)
class World:
    """Epochs 0 to 3 of four validators, a certified batch in the first and in the last."""

    genesis: Genesis
    seeds: dict[bytes, bytes]
    epochs: tuple[Epoch, ...]
    records: dict[int, CertifiedRecord]
    learnt: Learnt
    batches: tuple[Batch, ...]

    @property
    def network_id(self) -> bytes:
        return self.genesis.network_id

    @property
    def text(self) -> str:
        """That of an item of the last epoch."""
        return self.batches[-1].items[3].decode()

    def sign(self, key: bytes, body: Body) -> Statement[Body]:
        return signed(self.genesis, self.seeds, key, body)

    def place(self, name: bytes) -> tuple[Batch, int]:
        """Where an item was embedded last."""
        for batch in reversed(self.batches):
            for position, item in enumerate(batch.items):
                if item_id(item) == name:
                    return batch, position
        raise KeyError(name)

    def shaped(self, name: bytes, space: int) -> npt.NDArray[np.float32]:
        """The vector an honest server returns."""
        batch, position = self.place(name)
        centred = batch.epoch.record.means != NOTHING
        return transform(space >= LEARNT_IN).place(batch.vectors[position : position + 1], centred)[0]


def signed(genesis: Genesis, seeds: dict[bytes, bytes], key: bytes, body: Body) -> Statement[Body]:
    name = statement_digest(genesis.network_id, key, body)
    return assemble(genesis.network_id, key, body, sign(seeds[key], name))


@cache
def transform(learnt: bool) -> Transform:
    """That of the epochs that have moments, or of those that have none."""
    return transform_of(moments_from(world().learnt.moments if learnt else b""))


@cache
def world(seed: str = "a") -> World:
    """The same for all tests; another network by another seed."""
    genesis, validators, encoders = small_network(4, 4, items=8, epoch_rounds=6, seed=seed)
    seeds = {person.key: person.seed for person in [*validators, *encoders]}
    draw = np.random.default_rng(6)
    spread = draw.normal(size=(DIMENSIONS,)) * np.linspace(1, 4, DIMENSIONS)
    vectors = (draw.normal(size=(60, DIMENSIONS)) * spread / 80).astype("<f4")
    learnt = learn_from(
        NOTHING_LEARNT,
        [person.key for person in encoders],
        False,
        [ShardVectors([one.key for one in encoders], vectors[:4], vectors[20:])],
    )
    epochs = Epochs(genesis)
    found, records = [epochs.newest], {}
    for number in range(1, EPOCHS + 1):
        members = epochs.newest
        follows = next_epoch(
            members, epochs, no_inputs(number), (), learnt if number >= LEARNT_IN else NOTHING_LEARNT
        )
        epochs.add(follows)
        found.append(follows)
        records[number] = certified_record(genesis, seeds, members, follows)
    batches = tuple(
        make_batch(
            genesis,
            seeds,
            found[number],
            text_items(f"served{number}x", ITEMS),
            vectors[start : start + ITEMS],
        )
        for number, start in ((0, 0), (EPOCHS, 30))
    )
    return World(genesis, seeds, tuple(found), records, learnt, batches)


def certified_record(
    genesis: Genesis, seeds: dict[bytes, bytes], members: Epoch, follows: Epoch
) -> CertifiedRecord:
    """A record with the precommits of all validators of the epoch before."""
    at = shard_round(genesis, members.number * genesis.parameters.epoch_rounds + 3, 0)
    body = Precommit(at, follows.number, follows.digest)
    votes = tuple(
        AttestationRef(key, signed(genesis, seeds, key, body).signature) for key in sorted(members.validators)
    )
    return CertifiedRecord(
        encode(follows.record), EpochCertificate(at, follows.number, follows.digest, votes)
    )


def make_batch(
    genesis: Genesis,
    seeds: dict[bytes, bytes],
    epoch: Epoch,
    items: list[bytes],
    vectors: npt.NDArray[np.float32],
    at: ShardRound | None = None,
) -> Batch:
    """A batch that the drawn dealer reports and every validator attests."""
    at = at or shard_round(genesis, epoch.number * genesis.parameters.epoch_rounds + 1, 0)
    tree = MerkleTree(consensus_leaves(items, vectors.tobytes()))
    report = Report(
        at, digest("t", b"c"), digest("t", b"l"), digest("t", b"b"), 9, len(items), tree.root, bytes(32)
    )
    header = signed(genesis, seeds, dealer_of(epoch, at), report)
    votes = [signed(genesis, seeds, key, Attestation(at, header.digest)) for key in epoch.validators]
    certificate = make_certificate(at, header.digest, votes)  # type: ignore[arg-type]
    return Batch(epoch, header, certificate, tuple(items), vectors, tree)  # type: ignore[arg-type]


Lie = Callable[[str, Any], Any]
"""Given a path and the honest answer, bytes or a document; what is answered instead. None: 404."""


@dataclass
class ToldByApi:
    """Answers as a validator's API does; `lie` may change every answer."""

    world: World = field(default_factory=world)
    lie: Lie = lambda _, answer: answer
    space: int = EPOCHS
    asked: list[httpx.Request] = field(default_factory=list)

    @property
    def paths(self) -> list[str]:
        return [request.url.path for request in self.asked]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.lie(request.url.path, self.honest(request))
        if isinstance(answer, httpx.Response):
            return answer
        if answer is None:
            error = {"message": "there is none: ask for another", "type": "not_found", "param": None}
            return response(404, json.dumps({"error": error}).encode())
        return response(200, answer if isinstance(answer, bytes) else json.dumps(answer).encode())

    def honest(self, request: httpx.Request) -> Any:
        world = self.world
        match request.url.path.split("/")[2:]:
            case ["genesis"]:
                return world.genesis.data
            case ["epochs", number, "record"]:
                return encode(world.records[int(number)]) if int(number) in world.records else None
            case ["epochs", number, "moments"]:
                return world.learnt.moments if LEARNT_IN <= int(number) <= EPOCHS else None
            case ["items", name, "proof"]:
                return proof_of(world, bytes.fromhex(name))
            case ["items", name, "content"]:
                batch, position = world.place(bytes.fromhex(name))
                return batch.items[position]
            case ["items", name]:
                return self.item(bytes.fromhex(name), request.url.params.get("space", "newest"))
            case ["embeddings"]:
                return self.embeddings(json.loads(request.content)["input"])
        return None

    def item(self, name: bytes, asked: str) -> dict[str, Any]:
        batch, position = self.world.place(name)
        if asked == "raw":
            vector, space = batch.vectors[position], "raw"
        else:
            number = self.space if asked == "newest" else int(asked)
            vector, space = self.world.shaped(name, number), f"epoch {number}"
        at = batch.header.body.at
        return {
            "item_id": name.hex(),
            "state": "certified",
            "modality": "text",
            "text": batch.items[position].decode(),
            "submitted_ms": 1,
            "round": at.round,
            "shard": at.shard,
            "epoch": at.epoch,
            "certificate": batch.header.digest.hex(),
            "embedding": {"space": space, "dimensions": DIMENSIONS, "vector": base64_of(vector.tobytes())},
        }

    def embeddings(self, texts: list[str]) -> dict[str, Any]:
        data, items = [], []
        for index, text in enumerate(texts):
            name = item_id(text.encode())
            batch, _ = self.world.place(name)
            at = batch.header.body.at
            vector = self.world.shaped(name, self.space)
            data.append({"object": "embedding", "index": index, "embedding": base64_of(vector.tobytes())})
            items.append(
                {
                    "item_id": name.hex(),
                    "round": at.round,
                    "shard": at.shard,
                    "certificate": batch.header.digest.hex(),
                    "served": "repeat",
                }
            )
        return {
            "object": "list",
            "data": data,
            "model": "deltamesh",
            "usage": {"prompt_tokens": 1, "total_tokens": 1},
            "deltamesh": {
                "network_id": self.world.network_id.hex(),
                "space": f"epoch {self.space}",
                "epoch": self.space,
                "public": True,
                "items": items,
            },
        }


def proof_of(world: World, name: bytes) -> dict[str, Any]:
    """The document of GET /v1/items/{item_id}/proof."""
    batch, position = world.place(name)
    at = batch.header.body.at
    return {
        "network_id": world.network_id.hex(),
        "item_id": name.hex(),
        "round": at.round,
        "shard": at.shard,
        "epoch": at.epoch,
        "position": position,
        "items": len(batch.items),
        "vector": base64_of(batch.vectors[position].tobytes()),
        "merkle_proof": [sibling.hex() for sibling in batch.tree.proof(position)],
        "header": base64_of(batch.header.data),
        "certificate": base64_of(encode(batch.certificate)),
    }


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


class Chunks(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body as it comes over a wire, in parts."""

    def __init__(self, data: bytes, part_bytes: int = 60_000) -> None:
        self._parts = [data[start : start + part_bytes] for start in range(0, len(data), part_bytes)]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._parts)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            yield part


def response(status: int, data: bytes, **headers: str) -> httpx.Response:
    """A response whose body is still to be read."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, stream=Chunks(data), headers=named)
