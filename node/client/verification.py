"""Check that an embedding is the certified one, trusting a network id and not the validator asked.

What is believed in the end follows from the genesis of that id alone: the validators of each epoch certify
the record of the next, those of the item's epoch the report's header, the header binds the raw vector, and
the record of the space's epoch the moments that shape it.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from node.certified import (
    Check,
    ChecksDone,
    CheckStep,
    OnStep,
    VerificationFailed,
    checked_certificate,
    checked_header,
    stake_of,
    trusted_genesis,
)
from node.client import calls
from node.client.answers import Proof, bytes_of
from node.client.answers.base import VECTOR_BYTES
from node.client.call import Flow, Work, ask, printable
from node.client.chain import Chain
from node.client.chain_cache import ChainCache
from node.client.errors import BadAnswerError, ClientError
from protocol.epochs.learnt import LearntError, moments_from
from protocol.epochs.record import NOTHING
from protocol.epochs.view import Epoch
from protocol.genesis import Genesis
from protocol.hashing import content_digest
from protocol.items import item_id as name_of
from protocol.merkle import verify_merkle_proof
from protocol.messages import Report
from protocol.schedule import ShardRound, is_scheduled
from protocol.statement import Statement, StatementError, parse

if TYPE_CHECKING:
    from node.client.answers.base import Vector
    from node.shaping import Transform

TOLERANCE: Final = 1e-4
"""Largest distance between a unit vector and the same shaped here: float32, and another machine's sums."""
SAVED_EVERY: Final = 256
"""Epochs followed after which they are written down, so that a long chain need not be followed twice."""
TRANSFORMS_KEPT: Final = 4
"""8 MB each."""


@dataclass(frozen=True)
class Claim:
    """What a validator says, and what the caller knows of it by itself."""

    item_id: bytes
    content: bytes | None = None
    """Canonical bytes the caller submitted, where it has them."""
    report: bytes | None = None
    """Digest of the report the answer named as certified."""
    vector: Vector | None = None
    """As it was returned; None where only the raw one is wanted."""
    space: str = ""
    """Of `vector`: `raw`, or the number of an epoch, also as `epoch 3`."""


@dataclass(frozen=True)
class VerifiedItem:
    """An embedding that is certified."""

    network_id: bytes
    item_id: bytes
    at: ShardRound
    report: bytes
    """Digest of the report: the certificate's id."""
    position: int
    """In the batch."""
    dealer: bytes
    stake: int
    """Of the validators who attested."""
    total_stake: int
    raw: Vector
    """[1024] float32, as the certificate binds it."""
    space_epoch: int | None
    """Epoch whose transform shaped the vector that was claimed; None: raw, or none was claimed."""
    difference: float | None
    """Distance between the vector claimed and the one shaped here; None where none was claimed."""
    steps: tuple[CheckStep, ...]


class Verifier:
    """Verifies items of one network, and remembers what it has followed."""

    def __init__(self, network_id: bytes | None, genesis: Genesis | None, cache: Path | None) -> None:
        """Raises ClientError where neither a network id nor a genesis is given, or no id."""
        if network_id is not None and len(network_id) != 32:
            raise ClientError("a network id has 32 bytes, 64 hexadecimal digits")
        trusted = (
            network_id if network_id is not None else genesis.network_id if genesis is not None else None
        )
        if trusted is None:
            raise ClientError(
                "say which network you trust: give its id or its genesis, from a source other than the server"
            )
        self.network_id = trusted
        self._trusted = genesis
        self._cache = None if cache is None else ChainCache(cache, trusted)
        self._chain: Chain | None = None
        self._transforms: OrderedDict[int, Transform] = OrderedDict()

    def verify(self, claim: Claim, on_step: OnStep | None = None) -> Flow[VerifiedItem]:
        """Fetch the proof of an item and check all of it. Raises VerificationFailed, ClientError."""
        done = ChecksDone(on_step)
        chain = yield from self._network()
        members = chain.genesis.content
        done.add(Check.NETWORK, {"validators": len(members.validators), "encoders": len(members.encoders)})
        if claim.content is not None:
            if name_of(claim.content) != claim.item_id:
                raise VerificationFailed(Check.ITEM, "the item named is another than the content")
            done.add(Check.ITEM, {"bytes": len(claim.content)})
        proof = yield from ask(calls.proof(claim.item_id))
        at = _place(proof, claim, chain.genesis)
        epoch = yield from self.epoch(at.epoch)
        done.add(Check.EPOCH, {"records": epoch.number, "validators": len(epoch.validators)})
        header = checked_header(epoch, bytes_of(proof.header))
        _check_header(proof, claim, header)
        done.add(Check.HEADER, {"signatures": 1})
        # Thousands of validators' signatures take a while.
        told = bytes_of(proof.certificate)
        certificate = yield from ask(Work(lambda: checked_certificate(epoch, told, header)))
        done.add(Check.CERTIFICATE, {"attestations": len(certificate.attestations)})
        raw = _check_proof(proof, claim.item_id, header.body)
        done.add(Check.PROOF, {"siblings": len(proof.merkle_proof)})
        space_epoch, difference = None, None
        if claim.vector is not None:
            space_epoch = space_of(claim.space)
            difference = yield from self._compare(claim.vector, raw, space_epoch, epoch)
            done.add(Check.VECTOR, {"dimensions": len(raw)})
        return VerifiedItem(
            network_id=self.network_id,
            item_id=claim.item_id,
            at=at,
            report=header.digest,
            position=proof.position,
            dealer=header.signer,
            stake=stake_of(epoch, certificate),
            total_stake=epoch.total_stake,
            raw=raw,
            space_epoch=space_epoch,
            difference=difference,
            steps=tuple(done.steps),
        )

    def genesis(self) -> Flow[Genesis]:
        """The genesis of the trusted network. Raises VerificationFailed, ClientError."""
        return (yield from self._network()).genesis

    def epoch(self, number: int) -> Flow[Epoch]:
        """An epoch by its certified record, without its encoders. Raises VerificationFailed, ClientError."""
        chain = yield from self._network()
        chain.check_reach(number)
        known = chain.newest.number
        while (following := chain.newest.number + 1) <= number:
            data = yield from ask(calls.epoch_record(following))
            yield from ask(Work(partial(chain.follow, following, data)))
            if following % SAVED_EVERY == 0:
                yield from self._save(chain)
        if chain.newest.number > known:
            yield from self._save(chain)
        found = chain.find(number)
        if found is None:
            data = yield from ask(calls.epoch_record(number))
            found = chain.recall(number, data)
        return found

    def _network(self) -> Flow[Chain]:
        if self._chain is None:
            found = None
            if self._cache is not None:
                found = yield from ask(Work(self._cache.load))
            if found is None:
                data = self._trusted.data if self._trusted is not None else (yield from ask(calls.genesis()))
                found = Chain(trusted_genesis(data, self.network_id, self._trusted))
            # Another flow may have come first; its chain may be longer by now.
            self._chain = self._chain or found
        return self._chain

    def _save(self, chain: Chain) -> Flow[None]:
        if self._cache is not None:
            cache = self._cache
            yield from ask(Work(lambda: cache.save(chain)))

    def _compare(self, claimed: Vector, raw: Vector, space: int | None, epoch: Epoch) -> Flow[float]:
        import numpy as np

        if space is None:
            if claimed.tobytes() != raw.tobytes():
                raise VerificationFailed(Check.VECTOR, "the raw vector returned is not the certified one")
            return 0.0
        transform = yield from self._transform(space)
        centred = epoch.record.means != NOTHING
        placed = yield from ask(Work(lambda: transform.place(raw[None], centred)[0]))
        difference = float(np.linalg.norm(placed.astype(np.float64) - claimed))
        # Not a number where nobody answered validly: such an item has no embedding.
        if not difference <= TOLERANCE:
            raise VerificationFailed(
                Check.VECTOR,
                f"the vector returned lies {difference:.6f} from the certified one in the space of epoch "
                f"{space}; {TOLERANCE} are allowed",
            )
        return difference

    def _transform(self, number: int) -> Flow[Transform]:
        if number not in self._transforms:
            epoch = yield from self.epoch(number)
            data = yield from self._moments(epoch)
            transform = yield from ask(Work(lambda: _shaping(data)))
            self._transforms[number] = transform
            while len(self._transforms) > TRANSFORMS_KEPT:
                self._transforms.popitem(last=False)
            return transform
        return self._transforms[number]

    def _moments(self, epoch: Epoch) -> Flow[bytes]:
        name, cache = epoch.record.moments, self._cache
        if name == NOTHING:
            return b""
        if cache is not None:
            kept = yield from ask(Work(lambda: cache.moments(name)))
            if kept is not None:
                return kept
        data = yield from ask(calls.epoch_moments(epoch.number))
        if content_digest(data) != name:
            raise VerificationFailed(Check.VECTOR, f"these are not the moments of epoch {epoch.number}")
        if cache is not None:
            yield from ask(Work(lambda: cache.keep_moments(name, data)))
        return data


def space_of(told: str) -> int | None:
    """Epoch of a space as answers name it; None is raw. Raises BadAnswerError."""
    text = told.removeprefix("epoch ")
    if text == "raw":
        return None
    if text.isascii() and text.isdigit() and len(text) < 16:
        return int(text)
    raise BadAnswerError(f"'{printable(told[:40])}' is no space: an answer names `raw` or an epoch")


def _place(proof: Proof, claim: Claim, genesis: Genesis) -> ShardRound:
    """Where the header says the item was embedded; nothing of it is believed yet."""
    if proof.network_id != genesis.network_id.hex():
        raise VerificationFailed(Check.NETWORK, "the proof is of another network than the one you trust")
    if proof.item_id != claim.item_id.hex():
        raise VerificationFailed(Check.PROOF, "the proof is of another item")
    try:
        header = parse(bytes_of(proof.header), genesis.network_id)
    except (StatementError, UnicodeDecodeError) as error:
        raise VerificationFailed(Check.HEADER, str(error)) from error
    if not isinstance(header.body, Report):
        raise VerificationFailed(Check.HEADER, f"a {header.kind.value} where a report belongs")
    at = header.body.at
    if not is_scheduled(genesis, at):
        raise VerificationFailed(Check.HEADER, f"this network has no shard-round {at}")
    return at


def _check_header(proof: Proof, claim: Claim, header: Statement[Report]) -> None:
    at = header.body.at
    if (proof.epoch, proof.round, proof.shard) != (at.epoch, at.round, at.shard):
        raise VerificationFailed(Check.HEADER, "the report is of another round than the proof says")
    if claim.report is not None and claim.report != header.digest:
        raise VerificationFailed(
            Check.HEADER,
            f"the proof is by report {header.digest.hex()[:16]}, the answer named {claim.report.hex()[:16]}",
        )


def _check_proof(proof: Proof, item_id: bytes, report: Report) -> Vector:
    import numpy as np

    vector = bytes_of(proof.vector)
    if len(vector) != VECTOR_BYTES:
        raise VerificationFailed(Check.PROOF, f"a raw vector of {len(vector)} bytes, not {VECTOR_BYTES}")
    if proof.items != report.items:
        raise VerificationFailed(
            Check.PROOF, f"a batch of {proof.items} items, not the report's {report.items}"
        )
    siblings = [bytes.fromhex(sibling) for sibling in proof.merkle_proof]
    leaf = item_id + vector
    if not verify_merkle_proof(report.consensus_root, leaf, proof.position, report.items, siblings):
        raise VerificationFailed(
            Check.PROOF, "the report does not bind this vector to this item at this place"
        )
    return np.frombuffer(vector, "<f4").astype(np.float32)


def _shaping(data: bytes) -> Transform:
    from node.shaping import transform_of
    from protocol.report import DIMENSIONS

    try:
        moments = moments_from(data)
        if len(moments.products) not in (0, 4 * DIMENSIONS * (DIMENSIONS + 1)):
            raise LearntError("the consensus moments are of vectors of another length")
    except LearntError as error:
        raise VerificationFailed(Check.VECTOR, str(error)) from error
    return transform_of(moments)
