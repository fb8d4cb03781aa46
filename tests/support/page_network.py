"""What a page sees of a network: certified rounds with their steps, and one more round that a test plays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from node.api.service import Service
from node.clock import now_ms
from node.status import NodeStatus, PeerStatus
from node.store import DisputeRecord, EvidenceRecord, RoundRecord, RoundState, StepRecord, Store
from protocol.codec import encode
from protocol.genesis import Genesis
from protocol.rounds import effects as fx
from protocol.schedule import shard_round, slot_start_ms
from protocol.statement import Statement
from tests.support.api import status_of
from tests.support.api_on_port import served_api
from tests.support.certified_history import History, certified_history, record
from tests.support.epochs import dealer_of
from tests.support.publishing import publish

ROUNDS = 5
"""Certified before the page opens; the next one is left to the test."""


def page_history() -> History:
    """Rounds 0 to 5, all of epoch 0."""
    return certified_history(ROUNDS + 1)


@dataclass
class PageNetwork:
    """A served validator, and what can happen in it."""

    address: str
    service: Service
    store: Store
    history: History

    @property
    def url(self) -> str:
        """The page."""
        return f"http://{self.address}/"

    @property
    def encoders(self) -> list[bytes]:
        """Keys of the shard, all of them."""
        return sorted(person.key for person in self.history.encoders)

    def step(self, round_: int, step: fx.Step, **facts: object) -> None:
        """Write a step down and tell it, as a validator does."""
        found = self.write_step(round_, step, **facts)
        told = {
            "round": found.round,
            "shard": found.shard,
            "step": found.step,
            "wave": found.wave,
            "elapsed_ms": found.elapsed_ms,
            "answered": len(found.answered),
            "missing": len(found.missing),
            "detail": found.detail,
            "at_ms": found.at_ms,
        }
        publish(self.service.events, "step", told)

    def write_step(
        self,
        round_: int,
        step: fx.Step,
        *,
        after_ms: int = 0,
        wave: int = 0,
        elapsed_ms: int = 0,
        answered: Sequence[bytes] = (),
        missing: Sequence[bytes] = (),
        detail: str = "",
    ) -> StepRecord:
        """Write a step down: `after_ms` into the slot."""
        at_ms = slot_start_ms(self.history.genesis, round_) + after_ms
        found = StepRecord(
            round_, 0, step.value, wave, elapsed_ms, tuple(answered), tuple(missing), detail, at_ms
        )
        self.store.record_step(found)
        return found

    def open_round(self, round_: int) -> None:
        """A round is dealt."""
        at = shard_round(self.history.genesis, round_, 0)
        dealer = dealer_of(self.history.genesis, at)
        start_ms = slot_start_ms(self.history.genesis, round_)
        self.store.record_round(RoundRecord(at.epoch, round_, 0, RoundState.OPEN, start_ms, dealer))
        self.step(round_, fx.Step.DEALT, after_ms=150, missing=self.encoders, detail="40 views")

    def lock(self, round_: int, wave: int, missing: Sequence[bytes] = ()) -> None:
        """A wave of a round is over."""
        came = [key for key in self.encoders if key not in missing]
        self.step(
            round_,
            fx.Step.LOCKED,
            after_ms=150 + 400 * wave,
            wave=wave,
            elapsed_ms=400,
            answered=came,
            missing=missing,
        )

    def certify(self, fact: fx.RoundCertified) -> None:
        """A round is certified, and in the store."""
        record(self.store, self.history, fact)
        at = fact.at
        signers = [vote.validator for vote in fact.certificate.attestations]
        self.step(at.round, fx.Step.CERTIFIED, after_ms=2600, elapsed_ms=2600, answered=signers)
        told = {
            "round": at.round,
            "shard": at.shard,
            "epoch": at.epoch,
            "report": fact.header.digest.hex(),
            "items": len(fact.items),
        }
        publish(self.service.events, "certified", told)

    def accuse(self, term: str) -> None:
        """A dispute and a piece of evidence arrive, by statements that say nothing readable."""
        offender, disputer = self.history.encoders[0].key, self.history.validators[1].key
        header: Statement[object] = self.history.facts[0].header  # type: ignore[assignment]
        evidence = EvidenceRecord(b"\1" * 32, offender, term, header.data, now_ms())
        self.store.put_evidence(evidence)
        self.store.put_dispute(DisputeRecord(b"\2" * 32, 1, 0, disputer, header.data, now_ms()))
        publish(
            self.service.events, "evidence", {"digest": "01" * 32, "offender": offender.hex(), "kind": term}
        )
        publish(
            self.service.events,
            "dispute",
            {"digest": "02" * 32, "round": 1, "shard": 0, "disputer": disputer.hex()},
        )


@contextmanager
def page_network(root: Path, at: str = "127.0.0.1:0", **changes: object) -> Iterator[PageNetwork]:
    """A validator with five certified rounds, their steps, and peers."""
    whole = page_history()
    history = replace(whole, facts=whole.facts[:ROUNDS])
    with (
        served_api(root, history, page_status(history, **changes), at) as (address, service),
        Store.open(service.directory.store, service.directory.blobs) as store,
    ):
        network = PageNetwork(address, service, store, whole)
        if not store.steps(0, 0):
            _keep_bodies(store, history)
            for fact in history.facts:
                _steps_of(network, fact)
        yield network


def page_status(history: History, **changes: object) -> NodeStatus:
    """The status of the first validator: connected to all others and to every encoder but one."""
    peers = [
        *(PeerStatus(one.key.hex(), "validator", "/ip4/192.0.2.1/tcp/7700", True, now_ms(), 0.0)
          for one in history.validators[1:]),
        *(PeerStatus(one.key.hex(), "encoder", "/ip4/198.51.100.7/tcp/5123", False, now_ms(), 12.0)
          for one in history.encoders[1:]),
    ]  # fmt: skip
    return status_of(history, peers=tuple(peers), round=ROUNDS, last_certified_round=ROUNDS - 1, **changes)


def _keep_bodies(store: Store, history: History) -> None:
    for fact in history.facts:
        store.put_blob(encode(fact.body), fact.at.round, fx.Purpose.REPORT)


def _steps_of(network: PageNetwork, fact: fx.RoundCertified) -> None:
    genesis: Genesis = network.history.genesis
    round_, keys = fact.at.round, network.encoders
    assert genesis is not None
    late = keys[:1] if round_ == 3 else []
    came = [key for key in keys if key not in late]
    write = network.write_step
    write(round_, fx.Step.DEALT, after_ms=150, missing=keys, detail="40 views")
    for wave in (1, 2, 3):
        answered, missing = (came, late) if wave == 2 else (keys, [])
        write(round_, fx.Step.LOCKED, after_ms=150 + 400 * wave, wave=wave, elapsed_ms=400,
              answered=answered, missing=missing)  # fmt: skip
    write(round_, fx.Step.REVEALED, after_ms=1600, elapsed_ms=250, answered=keys)
    write(round_, fx.Step.REPORTED, after_ms=2300, elapsed_ms=700)
    for key in keys:
        write(round_, fx.Step.RECEIVED, after_ms=2300, answered=[key], detail=f"{40 * 4096 + 3000} bytes")
    signers = [vote.validator for vote in fact.certificate.attestations]
    write(round_, fx.Step.CERTIFIED, after_ms=2600, elapsed_ms=2600, answered=signers)
