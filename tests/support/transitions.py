"""Transition tables as one reads them: a grid of what each event does to a machine in each phase.

A grid has a line for every event and a column for every phase. A cell names an outcome; two need no
definition: `.` nothing is said and nothing is remembered, `notes` nothing is said, but something is
remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import groupby
from typing import Any, Generic, TypeVar, get_args

from protocol.messages import Kind
from protocol.rounds import effects as fx
from protocol.rounds import events as ev
from protocol.rounds.phases import Phases
from tests.support.driven import Driven

P = TypeVar("P", bound=Enum)

COLUMNS = {kind.value for kind in Kind} | {event.__name__ for event in get_args(ev.Event)} - {"Received"}
"""Everything a machine can be told: statements by kind, other events by name."""


@dataclass(frozen=True)
class Told:
    """An event, and the events before it where the shortest way to its phase will not do."""

    event: ev.Event
    way: tuple[ev.Event, ...] | None = None


@dataclass(frozen=True)
class Outcome:
    """Where an event leads (None: nowhere) and what the machine asks for, as `asked_for` writes it."""

    phase: Enum | None
    effects: str


@dataclass(frozen=True)
class Case(Generic[P]):
    """One cell."""

    phase: P
    row: str
    cell: str

    def __str__(self) -> str:
        return f"{self.phase.value}: {self.row}"


@dataclass(frozen=True)
class Table(Generic[P]):
    """The whole table of one machine."""

    make: Callable[[], Driven]
    ways: Mapping[P, list[ev.Event]]
    """A way to each phase."""
    rows: Mapping[str, Callable[[P], Told | ev.Event]]
    grid: str
    outcomes: Mapping[str, Outcome]
    elsewhere: Mapping[str, ev.Event]
    """Events of other machines, by name: nothing in any phase."""

    def cases(self) -> list[Case[P]]:
        """Every cell, line by line."""
        by_value = {phase.value: phase for phase in self.ways}
        lines = [[part.strip() for part in line.split("|")] for line in self.grid.strip().split("\n")]
        told = [
            Case(by_value[value], row, cell)
            for row, *cells in lines[1:]
            for value, cell in zip(lines[0][1:], cells, strict=True)
        ]
        return told + [Case(phase, row, ".") for row in self.elsewhere for phase in self.ways]

    def told(self, case: Case[P]) -> Told:
        """The event of a cell."""
        if case.row in self.elsewhere:
            return Told(self.elsewhere[case.row])
        told = self.rows[case.row](case.phase)
        return told if isinstance(told, Told) else Told(told)

    def pairs(self) -> set[tuple[P, str]]:
        """The pairs of phase and event that have a cell."""
        return {(case.phase, column(self.told(case).event)) for case in self.cases()}

    def check(self, case: Case[P]) -> None:
        """Tell the event; AssertionError unless it does what the cell says."""
        driven, told = self.make(), self.told(case)
        driven.tell(*(self.ways[case.phase] if told.way is None else told.way))
        machine = driven.machine
        assert machine.phase is case.phase, "the way does not lead there"
        before = remembered(machine)
        effects = asked_for(machine.handle(told.event, driven.world.now_ms))
        if case.cell == ".":
            assert (effects, remembered(machine)) == ("", before)
        elif case.cell == "notes":
            assert (effects, machine.phase) == ("", case.phase)
            assert remembered(machine) != before
        else:
            outcome = self.outcomes[case.cell]
            assert effects == outcome.effects
            assert machine.phase is (outcome.phase or case.phase)


def column(event: ev.Event) -> str:
    """Which of COLUMNS an event belongs to."""
    return event.statement.kind.value if isinstance(event, ev.Received) else type(event).__name__


def asked_for(effects: list[fx.Effect]) -> str:
    """Effects in their order, each by name and what tells it from others; a number counts equal ones."""
    parts = []
    for part, same in groupby(map(_name, effects)):
        count = len(list(same))
        parts.append(part if count == 1 else f"{count} {part}")
    return ", ".join(parts)


def _name(effect: fx.Effect) -> str:
    match effect:
        case fx.Broadcast(body) | fx.Send(body):
            return f"{type(effect).__name__} {type(body).__name__}"
        case fx.Persist(fact):
            return f"Persist {type(fact).__name__}"
        case fx.SetTimer(timer):
            return f"SetTimer {timer}"
        case fx.Publish(_, step):
            return f"Publish {step.value}"
        case fx.Provide(_, purpose) | fx.Fetch(_, _, _, purpose):
            return f"{type(effect).__name__} {purpose.value}"
    return type(effect).__name__


def remembered(machine: Any) -> object:
    """All a machine knows, as values that later changes leave alone."""
    return {name: _frozen(value) for name, value in vars(machine).items() if name not in ("epoch", "epochs")}


def _frozen(value: object) -> object:
    match value:
        case Phases():
            return value.current
        case dict():
            return {key: _frozen(one) for key, one in value.items()}
        case set():
            return frozenset(value)
        case list() | tuple():
            return tuple(map(_frozen, value))
    return value
