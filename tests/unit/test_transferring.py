"""A validator hands on stake as it was told: said once an epoch at most, and moved once whatever happens."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
from structlog.testing import capture_logs

from config.datadir import DataDir
from node.roles.standing import Standing, standing_of
from node.roles.transferring import Transferring
from node.stake_wish import StakeWish, StakeWishError, read_wish, wish_path, write_wish
from protocol.epochs.known import Epochs
from protocol.messages import Body, StakeTransfer
from protocol.schedule import slot_start_ms
from protocol.statement import Statement
from tests.support.fakes import FakeHost, VirtualClock, virtual_clock
from tests.support.records import GENESIS, ROUNDS, VALIDATORS, Story, card, conviction, newcomer, say

pytestmark = pytest.mark.anyio
ALICE, BOB = VALIDATORS[:2]
NEW = newcomer(0)
EPOCH_S = ROUNDS * GENESIS.parameters.slot_ms / 1_000
WISH = StakeWish(GENESIS.network_id, NEW, 20, (card(NEW),), ())


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> VirtualClock:
    return virtual_clock(monkeypatch, slot_start_ms(GENESIS, 0) + 1)


@pytest.fixture
def anyio_backend(clock: VirtualClock) -> tuple[str, dict[str, object]]:
    return "trio", {"clock": clock.trio_clock}


class Giver:
    """One validator's transferring, and what it says."""

    def __init__(self, folder: Path, told: Story, key: bytes = ALICE) -> None:
        self.told = told
        self.key = key
        self.directory = DataDir(folder)
        self.host = FakeHost(key, self.answer)
        self.host.connect(BOB)
        self.said: list[Statement[StakeTransfer]] = []
        self.on_disk: list[StakeWish | None] = []

    async def answer(self, key: bytes, method: str, payload: bytes) -> bytes:
        raise AssertionError("it asks nobody")

    def wish(self, wish: StakeWish = WISH) -> None:
        write_wish(self.directory, wish)

    @property
    def wished(self) -> StakeWish | None:
        return read_wish(self.directory, GENESIS.network_id)

    def say(self, statement: Statement[Body]) -> None:
        assert isinstance(statement.body, StakeTransfer)
        self.said.append(cast(Any, statement))
        self.on_disk.append(self.wished)

    async def sign(self, body: Body) -> Statement[Body]:
        await trio.lowlevel.checkpoint()
        return say(self.key, body)

    async def run(self, seconds: float, epochs: Epochs | None = None) -> None:
        """A process that lives so long."""
        me = SimpleNamespace(me=self.key, genesis=GENESIS, directory=self.directory)
        signer = SimpleNamespace(sign=self.sign)
        known = self.told.epochs if epochs is None else epochs
        transferring = Transferring(cast(Any, me), known, self.host.host, cast(Any, signer), self.say)
        with trio.move_on_after(seconds):
            await transferring.run()

    async def next_epoch(self, *, takes_up: bool, seconds: float = EPOCH_S) -> None:
        """The next record, with or without what was said; then an epoch goes by."""
        self.told.go_on(self.told.known(transfers=self.said if takes_up else ()))
        await self.run(seconds)


async def test_wish__is_said_kept_first_and_dropped_once_a_record_has_taken_it_up(tmp_path: Path) -> None:
    giver = Giver(tmp_path, Story())
    giver.wish()
    await giver.run(5)
    (statement,) = giver.said
    assert statement.body == StakeTransfer(statement.body.at, NEW, 20, (card(NEW),))
    assert statement.body.at.epoch == 0
    (kept,) = giver.on_disk
    assert kept is not None
    assert kept.said_in == (0,)
    await giver.next_epoch(takes_up=True, seconds=5)
    assert giver.wished is None
    await giver.run(3 * EPOCH_S)
    assert len(giver.said) == 1
    assert [held.amount for held in giver.told.newest.record.transfers] == [20]


async def test_nothing_wished_or_nobody_there__says_nothing(tmp_path: Path) -> None:
    giver = Giver(tmp_path, Story())
    await giver.run(5)
    giver.wish()
    giver.host.disconnect(BOB)
    await giver.run(5)
    assert giver.said == []
    assert giver.wished == WISH
    giver.host.connect(BOB)
    await giver.run(5)
    assert len(giver.said) == 1


async def test_transfer_that_may_still_count__is_repeated_and_not_made_anew(tmp_path: Path) -> None:
    giver = Giver(tmp_path, Story())
    giver.wish()
    await giver.run(EPOCH_S)
    await giver.next_epoch(takes_up=False)  # record 1 leaves it out, record 2 may take it up
    assert len({one.digest for one in giver.said}) == 1
    assert len(giver.said) > 1  # for whoever has not heard it
    await giver.run(5)  # another process
    assert len({one.digest for one in giver.said}) == 1
    giver.told.go_on()  # nor did record 2
    await giver.run(5)
    assert [one.body.at.epoch for one in giver.said if one.body.at.epoch] == [2]
    giver.told.go_on(giver.told.known(transfers=giver.said))
    await giver.run(5)
    assert giver.wished is None
    giver.told.go_on(giver.told.known(transfers=giver.said))
    giver.told.go_on(giver.told.known(transfers=giver.said))
    assert giver.told.newest.validators[NEW].stake == 20  # once, though it was signed twice


async def test_late_record_that_takes_it_up__ends_the_wish_without_another_statement(tmp_path: Path) -> None:
    giver = Giver(tmp_path, Story())
    giver.wish()
    await giver.run(EPOCH_S)
    await giver.next_epoch(takes_up=False, seconds=1)
    await giver.next_epoch(takes_up=True, seconds=5)
    assert giver.wished is None
    assert len({one.digest for one in giver.said}) == 1


async def test_wish_no_record_would_hold__waits_and_says_why_once(tmp_path: Path) -> None:
    giver = Giver(tmp_path, Story())
    giver.wish(StakeWish(GENESIS.network_id, NEW, 99, (card(NEW),), ()))
    with capture_logs() as logs:
        await giver.run(20)
    assert giver.said == []
    (told,) = [entry for entry in logs if entry["event"] == "stake.waits"]
    assert "may be on its way" in told["reason"]


async def test_damaged_wish__is_said_to_be_and_left(tmp_path: Path) -> None:
    giver = Giver(tmp_path, Story())
    wish_path(giver.directory).write_bytes(b"\x00")
    with capture_logs() as logs:
        await giver.run(10)
    assert giver.said == []
    assert "is damaged" in next(entry for entry in logs if entry["event"] == "stake.unmoved")["reason"]
    giver.wish(StakeWish(bytes(32), NEW, 1, (), ()))
    with pytest.raises(StakeWishError, match="another network"):
        read_wish(giver.directory, GENESIS.network_id)


def test_standing__is_what_the_newest_record_says() -> None:
    from tests.support.records import transfer

    told = Story()
    seen = [standing_of(told.newest, NEW)]
    told.go_on(told.known(transfers=[transfer(ALICE, NEW, 20, 0)]))
    seen.append(standing_of(told.newest, NEW))
    told.go_on()
    seen.append(standing_of(told.newest, NEW))
    told.go_on(told.known(evidence=[conviction(NEW, 2, by=BOB)]))
    seen.append(standing_of(told.newest, NEW))
    assert seen == [Standing.STRANGER, Standing.EXPECTED, Standing.VALIDATING, Standing.CONVICTED]
