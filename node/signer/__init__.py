"""The signer: one vote a slot, kept through crashes, restored files and clocks set back."""

from __future__ import annotations

from node.signer.errors import (
    EquivocationRefused,
    OpensLaterError,
    SignerClockBehind,
    SignerCorrupted,
    SignerError,
    SignerLocked,
    SignerRolledBack,
    TooEarly,
    TooManyVotes,
    VoteRefused,
)
from node.signer.ledger import ROUNDS_KEPT, VOTES_PER_ROUND_MAX
from node.signer.signer import Boundary, History, Signer
from node.signer.slot import VoteSlot
from protocol.evidence import VOTE_KINDS

__all__ = [
    "ROUNDS_KEPT",
    "VOTES_PER_ROUND_MAX",
    "VOTE_KINDS",
    "Boundary",
    "EquivocationRefused",
    "History",
    "OpensLaterError",
    "Signer",
    "SignerClockBehind",
    "SignerCorrupted",
    "SignerError",
    "SignerLocked",
    "SignerRolledBack",
    "TooEarly",
    "TooManyVotes",
    "VoteRefused",
    "VoteSlot",
]
