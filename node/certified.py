"""What everybody checks who trusts a network id alone: genesis, the dealer's header, the certificate.

A whole report (`node.verify`) and one embedding (`node.client`) are checked by these same pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from protocol.certificates import CertificateError, check_certificate
from protocol.codec import CodecError, decode
from protocol.epochs.view import Epoch
from protocol.genesis import Genesis, GenesisError
from protocol.hashing import digest
from protocol.messages import Certificate, Report
from protocol.schedule import dealer_of, is_scheduled
from protocol.statement import ENVELOPE_BYTES_MAX, Statement, expect


class Check(StrEnum):
    """What is checked."""

    NETWORK = "network"
    """The genesis is that of the network one trusts."""
    EPOCH = "epoch"
    """The members of the report's epoch: its record follows from genesis, each step certified."""
    HEADER = "header"
    """The report is signed by the validator drawn to deal this shard-round."""
    CERTIFICATE = "certificate"
    """Validators with at least two thirds of the stake signed that they agree with this report."""
    BODY = "body"
    """The body is the one the header names."""
    ANSWERS = "answers"
    """The answers are those the body names, all of them and no others."""
    AUDIT = "audit"
    """Items come from the committed pool, masks from the committed secret, reveals open the commits."""
    CONSENSUS = "consensus"
    """The consensus vectors are those the header binds."""
    NUMBERS = "numbers"
    """Terms, scores, weights and consensus, recomputed, lie within the network's tolerance."""
    ITEM = "item"
    """The item's id is the digest of its content."""
    PROOF = "proof"
    """The header binds this raw vector to this item, at its place in the batch."""
    VECTOR = "vector"
    """The vector is the raw one, shaped by the transform that follows from a certified epoch's moments."""


REPORT_CHECKS: Final = (
    Check.NETWORK,
    Check.EPOCH,
    Check.HEADER,
    Check.CERTIFICATE,
    Check.BODY,
    Check.ANSWERS,
    Check.AUDIT,
    Check.CONSENSUS,
    Check.NUMBERS,
)
"""Of a whole report, in this order."""
ITEM_CHECKS: Final = (
    Check.NETWORK,
    Check.ITEM,
    Check.EPOCH,
    Check.HEADER,
    Check.CERTIFICATE,
    Check.PROOF,
    Check.VECTOR,
)
"""Of one embedding, in this order."""


@dataclass(frozen=True, slots=True)
class CheckStep:
    """A check that held, and how much of what it covered."""

    check: Check
    counts: Mapping[str, int]
    """What was counted, in plural -> how many."""


class VerificationFailed(Exception):  # noqa: N818 (an outcome, not a fault of this program)
    """A claim does not hold; nothing it came with should be believed."""

    def __init__(self, check: Check, reason: str) -> None:
        super().__init__(f"{check.value}: {reason}")
        self.check = check
        self.reason = reason


OnStep = Callable[[CheckStep], None]


@dataclass
class ChecksDone:
    """The checks that held so far: at most one of each."""

    on_step: OnStep | None
    steps: list[CheckStep] = field(default_factory=list)

    def add(self, check: Check, counts: Mapping[str, int]) -> None:
        """One more held."""
        step = CheckStep(check, counts)
        self.steps.append(step)
        if self.on_step is not None:
            self.on_step(step)


def trusted_genesis(data: bytes, network_id: bytes | None, genesis: Genesis | None) -> Genesis:
    """The genesis in `data`, that of the network trusted by its id or genesis. Raises VerificationFailed."""
    if network_id is None and genesis is None:
        raise VerificationFailed(
            Check.NETWORK, "no network to trust was given: pass a network id or a genesis file"
        )
    found = digest("genesis", data)
    for trusted in (network_id, genesis.network_id if genesis is not None else None):
        if trusted is not None and found != trusted:
            raise VerificationFailed(
                Check.NETWORK,
                f"this is of network {found.hex()[:16]}, not of {trusted.hex()[:16]} which you trust",
            )
    try:
        return Genesis.from_bytes(data)
    except GenesisError as error:
        raise VerificationFailed(Check.NETWORK, f"the genesis is none: {error}") from error


def checked_header(epoch: Epoch, data: bytes) -> Statement[Report]:
    """The header in an envelope, by the dealer drawn in this epoch. Raises VerificationFailed."""
    genesis = epoch.genesis
    try:
        header = expect(data, genesis.network_id, Report)
    except ValueError as error:  # not canonical, not signed, of another network or kind, or not UTF-8
        raise VerificationFailed(Check.HEADER, str(error)) from error
    if not is_scheduled(genesis, header.body.at):
        raise VerificationFailed(Check.HEADER, f"this network has no shard-round {header.body.at}")
    if header.body.at.epoch != epoch.number:
        raise VerificationFailed(Check.HEADER, f"its chain of epochs ends with {epoch.number}")
    if header.signer != dealer_of(epoch, header.body.at):
        raise VerificationFailed(Check.HEADER, "the report is not by the validator drawn to deal")
    return header


def checked_certificate(epoch: Epoch, data: bytes, header: Statement[Report]) -> Certificate:
    """The certificate in canonical bytes, of this report by a quorum. Raises VerificationFailed."""
    try:
        certificate = decode(data, Certificate, size_bytes_max=ENVELOPE_BYTES_MAX)
        if (certificate.at, certificate.report) != (header.body.at, header.digest):
            raise CertificateError("it certifies another report")
        check_certificate(epoch, certificate)
    except (CodecError, CertificateError) as error:
        raise VerificationFailed(Check.CERTIFICATE, str(error)) from error
    return certificate


def stake_of(epoch: Epoch, certificate: Certificate) -> int:
    """Stake of the validators who attested, of a checked certificate."""
    return sum(epoch.validators[vote.validator].stake for vote in certificate.attestations)
