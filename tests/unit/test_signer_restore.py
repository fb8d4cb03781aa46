"""Files put back from older copies, and clocks set back: refuse or wait, never guess."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.signer import (
    Boundary,
    EquivocationRefused,
    History,
    Signer,
    SignerClockBehind,
    SignerCorrupted,
    SignerError,
    SignerRolledBack,
    TooEarly,
    VoteSlot,
)
from protocol.signatures import verify

SEED = bytes(range(32))
NETWORK_ID = b"n" * 32
ONE, OTHER = b"1" * 32, b"2" * 32

DATABASE, WATERMARK = "signer.sqlite", "signer.sqlite.watermark"
BOTH = (DATABASE, WATERMARK)


def report(round_: int) -> VoteSlot:
    return VoteSlot("report", epoch=0, round=round_, shard=0)


def open_signer(folder: Path, first_round: int) -> Signer:
    return Signer.open(folder / DATABASE, SEED, NETWORK_ID, first_round=first_round)


def copy_files(source: Path, target: Path, names: Iterable[str]) -> None:
    target.mkdir(exist_ok=True)
    for name in names:
        shutil.copy2(source / name, target / name)


@pytest.fixture
def used(tmp_path: Path) -> Path:
    """A signer's folder that voted in rounds 5 to 9, with `old/` copied after round 6; round 9 runs."""
    folder = tmp_path / "used"
    with open_signer(folder, 5) as signer:
        for round_ in (5, 6):
            signer.sign(report(round_), ONE)
        copy_files(folder, tmp_path / "old", BOTH)
        for round_ in (7, 8, 9):
            signer.sign(report(round_), ONE)
    return folder


@pytest.fixture
def old(used: Path) -> Path:
    return used.with_name("old")


@pytest.mark.parametrize("how", ["older", "deleted"])
def test_restore__database_only_waits_until_next_round_has_started(used: Path, old: Path, how: str) -> None:
    if how == "older":
        copy_files(old, used, [DATABASE])
    else:
        (used / DATABASE).unlink()
    with pytest.raises(SignerRolledBack, match="wait until round 10 has started") as caught:
        open_signer(used, 10)
    assert caught.value.first_round_min == 11
    with open_signer(used, 11) as signer:
        assert signer.history is History.ROLLED_BACK
        for round_ in range(11):
            with pytest.raises(TooEarly):
                signer.sign(report(round_), OTHER)
        signature = signer.sign(report(11), OTHER)
    with open_signer(used, 12) as signer:
        assert signer.history is History.COMPLETE
        assert signer.sign(report(11), OTHER) == signature


def test_restore__database_only_with_clock_set_back_refused(used: Path, old: Path) -> None:
    copy_files(old, used, [DATABASE])
    with pytest.raises(SignerRolledBack):
        open_signer(used, 7)


@pytest.mark.parametrize("clock_first_round", [7, 10])
def test_restore__watermark_only_loses_nothing(used: Path, old: Path, clock_first_round: int) -> None:
    copy_files(old, used, [WATERMARK])
    if clock_first_round == 7:
        with pytest.raises(SignerClockBehind, match="wait until round 9 has started") as caught:
            open_signer(used, clock_first_round)
        assert caught.value.first_round_min == 10
    else:
        with open_signer(used, clock_first_round) as signer:
            assert signer.history is History.COMPLETE
            with pytest.raises(EquivocationRefused):
                signer.sign(report(9), OTHER)


def test_restore__watermark_removed_waits_as_votes_may_be_missing(used: Path) -> None:
    (used / WATERMARK).unlink()
    with pytest.raises(SignerRolledBack, match="lost its watermark"):
        open_signer(used, 10)
    with open_signer(used, 11) as signer:
        assert signer.history is History.ROLLED_BACK
        with pytest.raises(TooEarly):
            signer.sign(report(9), OTHER)


def test_restore__both_with_right_clock_votes_in_later_rounds_only(used: Path, old: Path) -> None:
    copy_files(old, used, BOTH)
    with open_signer(used, 10) as signer:
        assert signer.sign(report(6), ONE)
        for round_ in (7, 8, 9):
            with pytest.raises(TooEarly):
                signer.sign(report(round_), OTHER)
        assert signer.sign(report(10), OTHER)


def test_restore__both_with_clock_behind_what_they_remember_refused(used: Path, old: Path) -> None:
    copy_files(old, used, BOTH)
    with pytest.raises(SignerClockBehind):
        open_signer(used, 6)


def test_restore__everything_gone_votes_in_later_rounds_only(used: Path) -> None:
    shutil.rmtree(used)
    with open_signer(used, 10) as signer, pytest.raises(TooEarly):
        signer.sign(report(9), OTHER)


def test_restore__other_branch_of_the_same_length_noticed(used: Path, old: Path, tmp_path: Path) -> None:
    copy_files(used, tmp_path / "first", BOTH)
    copy_files(old, used, BOTH)
    with open_signer(used, 10) as signer:
        for round_ in (10, 11, 12):
            signer.sign(report(round_), OTHER)
    # Both histories hold five votes now: a count alone would not tell them apart.
    copy_files(tmp_path / "first", used, [DATABASE])
    with pytest.raises(SignerRolledBack, match="wait until round 13 has started"):
        open_signer(used, 13)


@pytest.mark.parametrize("clock_first_round", [3, 9])
def test_clock__set_back_refused_even_without_votes_since(tmp_path: Path, clock_first_round: int) -> None:
    open_signer(tmp_path, 10).close()
    with pytest.raises(SignerClockBehind, match="set the clock right") as caught:
        open_signer(tmp_path, clock_first_round)
    assert caught.value.first_round_min == 10
    open_signer(tmp_path, 10).close()


@pytest.mark.parametrize("by", ["rename", "overwrite"])
def test_restore__under_a_running_signer_stops_it(used: Path, old: Path, by: str) -> None:
    with open_signer(used, 10) as signer:
        signer.sign(report(10), ONE)
        if by == "rename":
            (old / DATABASE).rename(used / DATABASE)
        else:
            shutil.copy2(old / DATABASE, used / DATABASE)
        with pytest.raises(SignerCorrupted, match="replaced while the signer ran"):
            signer.sign(report(10), OTHER)
        with pytest.raises(SignerError):
            signer.sign(report(11), ONE)


class Crash(BaseException):
    """The process ends here."""


@dataclass
class World:
    """A folder, its copies, and what is known of it from outside."""

    folder: Path
    copies: int = 0
    released: dict[VoteSlot, bytes] = field(default_factory=dict)
    requested_round_max: int = -1
    genuine: set[str] = field(default_factory=lambda: set(BOTH))
    latest: dict[str, bytes | None] = field(default_factory=lambda: dict.fromkeys(BOTH))

    def session(self, clock: int, crash_countdown: int, wishes: list[tuple[int, bytes]]) -> None:
        """One process: opens, signs what it wishes, ends or crashes at some boundary.

        The records withstand any clock while one is genuine; with both replaced the clock must be right.
        `clock` is relative to the round after all that were ever voted in, or asked for.
        """
        first_round = self.requested_round_max + 1 + (clock if self.genuine else abs(clock))
        try:
            self.attempt(first_round, crash_countdown, wishes)
        except (SignerRolledBack, SignerClockBehind) as refusal:
            # What a supervisor does: waits as long as it is told, and starts the node again.
            self.attempt(refusal.first_round_min, crash_countdown, wishes)

    def attempt(self, first_round: int, crash_countdown: int, wishes: list[tuple[int, bytes]]) -> None:
        countdown = crash_countdown

        def at_boundary(_: Boundary) -> None:
            nonlocal countdown
            countdown -= 1
            if countdown == 0:
                raise Crash

        try:
            with Signer.open(
                self.folder / DATABASE, SEED, NETWORK_ID, first_round=first_round, at_boundary=at_boundary
            ) as signer:
                self.genuine = set(BOTH)
                for ahead, digest in wishes:
                    # Around its first round: some too early, some recorded by earlier processes, some new.
                    slot = report(max(0, first_round + ahead))
                    self.requested_round_max = max(self.requested_round_max, slot.round)
                    try:
                        signature = signer.sign(slot, digest)
                    except (TooEarly, EquivocationRefused):
                        continue
                    assert verify(signer.public_key, digest, signature)
                    assert self.released.setdefault(slot, digest) == digest, slot
        except Crash:
            pass
        if self.genuine == set(BOTH):
            self.latest = {name: self.content(name) for name in BOTH}

    def content(self, name: str) -> bytes | None:
        path = self.folder / name
        return path.read_bytes() if path.exists() else None

    def copy(self) -> None:
        target = self.folder / f"copy{self.copies}"
        copy_files(self.folder, target, [name for name in BOTH if (self.folder / name).exists()])
        self.copies += 1

    def restore(self, name: str, number: int) -> None:
        """Put back one file from a copy; one that the copy lacks is removed."""
        if not self.copies:
            return
        source = self.folder / f"copy{number % self.copies}" / name
        if source.exists():
            shutil.copy2(source, self.folder / name)
        else:
            (self.folder / name).unlink(missing_ok=True)
        self.genuine = {known for known in BOTH if self.content(known) == self.latest[known]}


@dataclass(frozen=True)
class Run:
    clock: int
    crash_countdown: int
    wishes: list[tuple[int, bytes]]


@dataclass(frozen=True)
class Copy:
    pass


@dataclass(frozen=True)
class Restore:
    name: str
    number: int


NEVER = 0
RUNS = st.builds(
    Run,
    clock=st.integers(-3, 1),
    crash_countdown=st.just(NEVER) | st.integers(1, 16),
    wishes=st.lists(st.tuples(st.integers(-3, 1), st.sampled_from([ONE, OTHER])), max_size=4),
)
RESTORES = st.builds(Restore, name=st.sampled_from(BOTH), number=st.integers(0, 2))
STEPS = st.lists(st.one_of(RUNS, RUNS, st.just(Copy()), RESTORES), min_size=2, max_size=14)


def play(steps: list[Run | Copy | Restore]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        for step in steps:
            match step:
                case Run(clock, crash_countdown, wishes):
                    world.session(clock, crash_countdown, wishes)
                case Copy():
                    world.copy()
                case Restore(name, number):
                    world.restore(name, number)


@settings(max_examples=40, deadline=None)
@given(steps=STEPS)
def test_any_history__never_two_digests_for_one_slot(steps: list[Run | Copy | Restore]) -> None:
    play(steps)


@pytest.mark.slow
@pytest.mark.timeout(600)
@settings(max_examples=150, deadline=None)
@given(steps=STEPS)
def test_any_history__never_two_digests_for_one_slot_at_length(steps: list[Run | Copy | Restore]) -> None:
    play(steps)
