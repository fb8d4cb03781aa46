"""Validators of the demonstration: they deal nothing but challenge items, and each rule can be off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import Enum
from typing import Any

import msgspec

from node.sim.validator import SimValidator
from protocol.bending import ProbeSigns
from protocol.epochs.checking import CertifiedOutcome
from protocol.epochs.outcome import RoundOutcome
from protocol.messages import WAVES
from protocol.schedule import ShardRound, chain_depth, dealer_of, mask_secret
from protocol.sealing import wave_key


class Probes(Enum):
    """What becomes of the answers to probes."""

    COUNTED = "probes"
    """They enter the record."""
    IGNORED = "no probes"
    """Every record is made as if there had been none."""


class WavesValidator(SimValidator):
    """An honest validator; under `Probes.IGNORED` all of them agree on records without probes."""

    def __init__(self, *args: Any, probes: Probes) -> None:
        super().__init__(*args)
        self._probes = probes

    def served(self, at: ShardRound) -> tuple[bytes, ...]:
        """Nobody submits anything."""
        return ()

    def certified(self, epoch: int) -> Sequence[CertifiedOutcome]:
        """The certified rounds, with or without what their probes say."""
        found = super().certified(epoch)
        if self._probes is Probes.COUNTED:
            return found
        return [
            replace(one, outcome=msgspec.structs.replace(one.outcome, probes=_none(one.outcome)))
            for one in found
        ]


class TellingValidator(WavesValidator):
    """A dealer that deals all keys with the challenge, to whoever asks: there are no waves."""

    def later_keys(self, at: ShardRound) -> Mapping[int, bytes]:
        """The keys of waves 2 and 3 of a round dealt here."""
        epoch = self.epochs.find(at.epoch)
        if epoch is None or dealer_of(epoch, at) != self.key or self.member.chain is None:
            return {}
        secret = mask_secret(epoch, at, self.member.chain.preimage(chain_depth(self.genesis, at)))
        return {wave: wave_key(secret, wave) for wave in WAVES[1:]}


def _none(outcome: RoundOutcome) -> tuple[ProbeSigns, ...]:
    return (ProbeSigns(0, 0, 0),) * len(outcome.encoders)
