"""Statements: judged once, remembered within bounds, accused once, signed under the one-vote rule."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import protocol.hearing
from node.network.counters import Counters
from node.signer import Signer
from node.signer.errors import EquivocationRefused, TooEarly
from node.statements import Statements
from protocol.genesis import Genesis
from protocol.messages import Attestation, Body, Dispute, Evidence
from protocol.schedule import shard_round, slot_start_ms
from protocol.signatures import sign, verify
from protocol.statement import Statement, assemble, parse, statement_digest
from protocol.verdict import Verdict
from tests.support.epochs import check_evidence, epochs_of
from tests.support.fakes import VirtualClock, virtual_clock
from tests.support.genesis import small_network
from tests.support.memory_network import Identity

pytestmark = pytest.mark.anyio
ROUND = 5
GENESIS, VALIDATORS, ENCODERS = small_network(4, 4)
ME, OTHER, THIRD, _ = VALIDATORS


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> VirtualClock:
    return virtual_clock(monkeypatch, slot_start_ms(GENESIS, ROUND) + 1_000)


@pytest.fixture
def anyio_backend(clock: VirtualClock) -> tuple[str, dict[str, object]]:
    return "trio", {"clock": clock.trio_clock}


class Heard(Statements):
    """Statements with a record of what they hand on."""

    def __init__(self, signer: Signer | None, genesis: Genesis = GENESIS) -> None:
        self.counters = Counters()
        super().__init__(epochs_of(genesis), signer, self.counters)  # type: ignore[arg-type]
        self.accepted: list[Statement[Body]] = []
        self.evidence: list[Evidence] = []
        self.on_accepted = self.accepted.append
        self.on_evidence = self.evidence.append


@pytest.fixture
def signer(tmp_path: Path, clock: VirtualClock) -> Signer:
    return Signer.open(tmp_path / "signer.sqlite", ME.seed, GENESIS.network_id, first_round=ROUND)


def said(who: Identity, mark: bytes = b"r", round_: int = ROUND) -> Statement[Attestation]:
    body = Attestation(shard_round(GENESIS, round_, 0), mark * 32)
    name = statement_digest(GENESIS.network_id, who.key, body)
    return assemble(GENESIS.network_id, who.key, body, sign(who.seed, name))


def test_valid_statement__is_handed_on_once(clock: VirtualClock) -> None:
    heard, statement = Heard(None), said(OTHER)
    assert heard.receive(statement.data).verdict is Verdict.ACCEPT
    assert heard.receive(statement.data).verdict is Verdict.IGNORE
    assert heard.accepted == [statement]
    assert heard.counters["statements.accept"] == heard.counters["statements.ignore"] == 1


@given(data=st.binary(max_size=400), cut=st.integers(0, 400), flip=st.integers(0, 255))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes__are_judged_and_never_raise_or_pass(
    clock: VirtualClock, data: bytes, cut: int, flip: int
) -> None:
    heard, good = Heard(None), said(OTHER).data
    changed = bytearray(good)
    changed[cut % len(good)] ^= flip
    for received in (data, good[: cut % len(good)], bytes(changed)):
        if received != good:
            assert heard.receive(received).verdict is not Verdict.ACCEPT
    assert heard.accepted == []


def test_second_statement_of_a_slot__makes_evidence_once_for_offender_and_round(clock: VirtualClock) -> None:
    heard = Heard(None)
    for mark in (b"a", b"b", b"c", b"d"):
        heard.receive(said(OTHER, mark).data)
    assert heard.accepted == [said(OTHER, b"a")]
    (evidence,) = heard.evidence
    assert check_evidence(GENESIS, evidence) == OTHER.key
    heard.receive(said(THIRD, b"a").data)
    heard.receive(said(THIRD, b"b").data)
    assert [check_evidence(GENESIS, one) for one in heard.evidence] == [OTHER.key, THIRD.key]
    heard.receive(said(OTHER, b"a", ROUND - 1).data)
    heard.receive(said(OTHER, b"b", ROUND - 1).data)
    assert len(heard.evidence) == 3


def test_contradiction_that_is_not_signed__accuses_nobody(clock: VirtualClock) -> None:
    heard, second = Heard(None), said(OTHER, b"b")
    heard.receive(said(OTHER, b"a").data)
    forged = assemble(GENESIS.network_id, OTHER.key, second.body, sign(THIRD.seed, second.digest))
    assert heard.receive(forged.data).verdict is Verdict.REJECT
    assert heard.evidence == []


def test_tables__forget_the_oldest_beyond_their_bound(
    clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol.hearing, "SEEN_MAX", 3)
    heard = Heard(None)
    for who in VALIDATORS:
        for round_ in (ROUND - 1, ROUND):
            for mark in (b"a", b"b"):
                heard.receive(said(who, mark, round_).data)
    tables = heard._hearing
    assert len(tables._seen) == len(tables._slots) == len(tables._accused) == 3


@pytest.mark.usefixtures("clock")
async def test_own_statement__is_signed_remembered_and_not_accepted_again(signer: Signer) -> None:
    with signer:
        heard = Heard(signer)
        statement = await heard.sign(said(ME).body)
        assert verify(ME.key, statement.digest, statement.signature)
        assert parse(statement.data, GENESIS.network_id).body == said(ME).body
        assert heard.receive(statement.data).verdict is Verdict.IGNORE
        assert heard.accepted == []


@pytest.mark.usefixtures("clock")
async def test_signing__follows_the_one_vote_rule_where_there_is_a_slot(signer: Signer) -> None:
    with signer:
        heard = Heard(signer)
        first = await heard.sign(said(ME, b"a").body)
        assert await heard.sign(said(ME, b"a").body) == first
        with pytest.raises(EquivocationRefused):
            await heard.sign(said(ME, b"b").body)
        with pytest.raises(TooEarly):
            await heard.sign(said(ME, b"a", ROUND - 1).body)
        at = shard_round(GENESIS, ROUND - 1, 0)
        free = await heard.sign(Dispute(at, b"r" * 32, "weight", b"", 5, "differs"))
        assert verify(ME.key, free.digest, free.signature)


@pytest.mark.usefixtures("clock")
async def test_own_vote_said_by_another_process__is_caught_as_evidence_too(signer: Signer) -> None:
    with signer:
        heard = Heard(signer)
        await heard.sign(said(ME, b"a").body)
        heard.receive(said(ME, b"b").data)
        assert [check_evidence(GENESIS, one) for one in heard.evidence] == [ME.key]


def test_clock_set_back__neither_raises_nor_accepts_what_has_not_begun(clock: VirtualClock) -> None:
    heard = Heard(None)
    clock.set_back_ms = 3 * GENESIS.parameters.slot_ms
    assert heard.receive(said(OTHER).data).verdict is Verdict.IGNORE
    clock.set_back_ms = 0
    assert heard.receive(said(OTHER).data).verdict is Verdict.ACCEPT
