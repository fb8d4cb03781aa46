"""One certified shard-round with the real scorer, and the secrets to sign lies about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache

import msgspec
import numpy as np
import numpy.typing as npt

from node.bundle import Bundle, make_bundle
from node.scoring_task import compare_task, score_task
from protocol.certificates import make_certificate
from protocol.codec import encode
from protocol.genesis import Genesis
from protocol.hashing import content_digest, digest
from protocol.items import canonical_text
from protocol.merkle import merkle_root
from protocol.messages import Attestation, Body, Certificate, Report
from protocol.report import ReportBody, ScoreTask
from protocol.rounds import effects as fx
from protocol.schedule import shard_round
from protocol.signatures import sign
from protocol.statement import Statement, assemble, statement_digest
from tests.support.epochs import audit_report, dealer_of
from tests.support.genesis import small_network
from tests.support.memory_network import Blobs, Encode, Identity, MemoryNetwork

ITEMS = 64
_VOCABULARY = 300
_TOPIC_WORDS = 8


class Fault(Enum):
    """What the round's first encoder does."""

    NONE = "none"
    SILENT = "silent"
    """It commits and never shows its answers."""
    NAN = "nan"
    """Its first answer to every wave is not a number."""
    COPY = "copy"
    """Its answers are the second encoder's, to the bit."""


@dataclass(frozen=True)
class CertifiedRound:
    """What a node that took part holds."""

    genesis: Genesis
    validators: dict[bytes, Identity]
    encoders: dict[bytes, Identity]
    header: Statement[Report]
    certificate: Certificate
    body: ReportBody
    task: ScoreTask
    blobs: Blobs

    @property
    def bundle(self) -> Bundle:
        """The honest export."""
        return make_bundle(
            self.genesis, (), b"", b"", self.header, encode(self.body), self.certificate, self.blobs.get
        )

    def sign(self, key: bytes, body: Body) -> bytes:
        """Envelope of a statement by any member, with its real key."""
        return self._statement(key, body).data

    def certify(self, body: ReportBody | bytes, **changes: object) -> Bundle:
        """A bundle about another body, signed by the dealer and certified by every validator: all collude."""
        data = body if isinstance(body, bytes) else encode(body)
        changes = {"body": content_digest(data), "body_bytes": len(data), **changes}
        report = msgspec.structs.replace(self.header.body, **changes)
        header = self._statement(self.header.signer, report)
        vote = Attestation(report.at, header.digest)
        votes = [self._statement(key, vote) for key in self.validators]
        certificate = make_certificate(report.at, header.digest, votes)  # type: ignore[arg-type]
        return msgspec.structs.replace(
            self.bundle, header=header.data, body=data, certificate=encode(certificate)
        )

    def _statement(self, key: bytes, body: Body) -> Statement[Body]:
        network_id = self.genesis.network_id
        seed = (self.validators | self.encoders)[key].seed
        return assemble(network_id, key, body, sign(seed, statement_digest(network_id, key, body)))


@cache
def certified_round(
    seed: str = "a", *, masks: int = 1, fault: Fault = Fault.NONE, first_mask: str = "cut"
) -> CertifiedRound:
    """Round 0 of a network of 4 validators and 4 encoders."""
    genesis, dealers, encoders = small_network(
        4, 4, items=ITEMS, seed=seed, masks_per_item=masks, first_mask=first_mask
    )
    genesis = with_topical_pools(genesis, dealers)
    at = shard_round(genesis, 0, 0)
    faulty = encoders[0].key
    encode_by_key = {person.key: bag_of_words(person.key) for person in encoders}
    if fault is Fault.NAN:
        encode_by_key[faulty] = without_first(encode_by_key[faulty])
    if fault is Fault.COPY:
        encode_by_key[faulty] = encode_by_key[encoders[1].key]
    net = MemoryNetwork(
        genesis,
        [*dealers, *encoders],
        encode_by_key,
        lambda task, blobs: score_task(task, blobs.get),
        lambda task, blobs, claimed: compare_task(task, blobs.get, claimed),
        tamper=(lambda key, data: b"" if key == faulty else data) if fault is Fault.SILENT else None,
    )
    net.run(at)
    dealer = net.nodes[dealer_of(genesis, at)]
    (fact,) = [fact for fact in dealer.facts if isinstance(fact, fx.RoundCertified)]
    audited = audit_report(genesis, fact.header, encode(fact.body))
    return CertifiedRound(
        genesis,
        {person.key: person for person in dealers},
        {person.key: person for person in encoders},
        fact.header,
        fact.certificate,
        fact.body,
        audited.task,
        dealer.blobs,
    )


def with_topical_pools(genesis: Genesis, validators: Sequence[Identity]) -> Genesis:
    """The network with pools of texts whose parts tell which text they are of."""
    roots = {}
    for index, person in enumerate(validators):
        person.pool = topical_items(f"v{index}", len(person.pool))
        roots[person.key] = merkle_root(person.pool)
    members = tuple(
        msgspec.structs.replace(member, pool_root=roots[member.public_key])
        for member in genesis.content.validators
    )
    return Genesis(msgspec.structs.replace(genesis.content, validators=members))


def topical_items(name: str, count: int) -> list[bytes]:
    """Texts of 24 words, drawn from a few words that are each text's own, so that a part finds its rest."""
    draw = np.random.default_rng(int.from_bytes(digest("test-topics", name.encode())[:8], "big"))
    items = []
    for index in range(count):
        topic = draw.choice(_VOCABULARY, _TOPIC_WORDS, replace=False)
        words = [f"word{word}" for word in draw.choice(topic, 23)]
        items.append(canonical_text(" ".join([*words, f"{name}x{index}"])))
    return items


def bag_of_words(name: bytes) -> Encode:
    """An encoder that composes: unit sums of word vectors, which all encoders share but for some noise."""
    vectors: dict[str, npt.NDArray[np.float64]] = {}

    def vector(word: str) -> npt.NDArray[np.float64]:
        if word not in vectors:
            shared, own = (
                np.random.default_rng(
                    int.from_bytes(digest("test-word", salt, word.encode())[:8], "big")
                ).normal(size=1024)
                for salt in (b"", name)
            )
            vectors[word] = shared + 0.7 * own
        return vectors[word]

    def encode_texts(wave: int, texts: Sequence[str]) -> bytes:
        sums = np.stack([sum(map(vector, text.split(" ")), np.zeros(1024)) for text in texts])
        units = sums / np.linalg.norm(sums, axis=1, keepdims=True)
        data: bytes = units.astype("<f4").tobytes()
        return data

    return encode_texts


def without_first(encode_texts: Encode) -> Encode:
    """The same encoder, NaN for the first view of every wave."""
    nan = np.full(1024, np.nan, "<f4").tobytes()

    def encode_rest(wave: int, texts: Sequence[str]) -> bytes:
        return nan + encode_texts(wave, texts)[len(nan) :]

    return encode_rest
