"""Watches a large network for what must hold of its certificates; the small ones are watched for everything.

The full observer remembers who heard what, which for ten thousand nodes is more than the nodes themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from node.sim.observer import Observer, Violation
from node.sim.world import World
from protocol.certificates import CertificateError, check_certificate
from protocol.epochs.carried import CarriedEpochs
from protocol.hearing import Heard
from protocol.messages import Body, Evidence
from protocol.rounds import effects as fx
from protocol.schedule import ShardRound
from protocol.statement import Statement

if TYPE_CHECKING:
    from node.sim.process import SimProcess


class ScaleObserver(Observer):
    """One certificate a shard-round, checked once; no dispute, evidence or void round among the honest."""

    def __init__(self, world: World) -> None:
        super().__init__(world, frozenset())
        self.epochs = CarriedEpochs(world.genesis)  # membership is held still
        self.voids = 0
        self._reports_of: dict[ShardRound, bytes] = {}

    def named(self, statement: Statement[Body]) -> str:
        """Nobody reads it."""
        return ""

    def said(self, node: SimProcess, statement: Statement[Body]) -> None:
        """Nothing an honest network has reason to say may be an accusation."""
        if isinstance(statement.body, Evidence):
            raise Violation("no evidence against the honest", f"said by {node.member.name}")

    def provided(self, name: bytes, data: bytes) -> None:
        """Not archived."""

    def restarted(self, node: SimProcess) -> None:
        """Nothing is remembered of a node."""

    def heard(self, node: SimProcess, heard: Heard) -> None:
        """Not remembered."""

    def after_event(self, node: SimProcess) -> None:
        """Bounds are checked in small networks."""

    def handled(self, node: SimProcess, machine: object) -> None:
        """A certificate is looked at when it is persisted."""

    def persisted(self, node: SimProcess, fact: fx.Fact) -> None:
        """A validator knows a certificate, or has given a round up."""
        if isinstance(fact, fx.RoundVoid):
            self.voids += 1
        if not isinstance(fact, fx.RoundCertified):
            return
        if fact.at not in self._reports_of:
            try:
                check_certificate(node.epochs.of(fact.at.epoch), fact.certificate)
            except CertificateError as error:
                raise Violation("two thirds certify", str(error)) from error
        if self._reports_of.setdefault(fact.at, fact.certificate.report) != fact.certificate.report:
            raise Violation("one certificate a shard-round", f"{fact.at} has two reports certified")
        self.certified_by.setdefault(fact.at, set()).add(node.key)
