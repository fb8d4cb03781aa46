"""Epochs decoded for the API."""

from __future__ import annotations

from typing import Any, Final

from node.api.models.base import base64
from node.api.models.epochs import (
    EpochCertificateDetail,
    EpochDetail,
    EpochRecordDetail,
    EpochSummary,
    RecordEncoder,
    RecordValidator,
    Transfer,
)
from node.api.votes import stake_of, votes_told
from node.epochs.history import lacks_encoders
from protocol.codec import encode
from protocol.epochs.record import NOTHING, EncoderState
from protocol.epochs.view import Epoch
from protocol.messages import EpochCertificate

MEMBERS_TOLD: Final = 1_024
"""Validators and encoders written out of one record; all are in its bytes, and in /v1/encoders by pages."""


def summary_of(epoch: Epoch) -> EpochSummary:
    """An epoch at a glance."""
    return EpochSummary(**_summary(epoch))


def detail_of(epoch: Epoch, certificate: EpochCertificate | None, before: Epoch | None) -> EpochDetail:
    """An epoch, the certificate it stands by, and the epoch before, whose validators voted."""
    record = epoch.record
    return EpochDetail(
        **_summary(epoch),
        record=EpochRecordDetail(
            seed=record.seed.hex(),
            encoders_digest=record.encoders.hex(),
            inputs=_named(record.inputs),
            evidence=tuple(one.hex() for one in record.evidence),
            transfers=tuple(
                Transfer(giver=held.giver.hex(), to=held.to.hex(), amount=held.amount)
                for held in record.transfers
            ),
        ),
        members=tuple(
            RecordValidator(
                public_key=state.public_key.hex(),
                stake=state.stake,
                joined=state.public_key in epoch.joined,
                blocks_dealt=state.blocks_dealt,
            )
            for state in record.validators[:MEMBERS_TOLD]
        ),
        table=None
        if lacks_encoders(epoch)
        else tuple(_encoder(epoch, state) for state in epoch.table.encoders[:MEMBERS_TOLD]),
        certificate=None if certificate is None else _certificate(certificate, before),
    )


def _summary(epoch: Epoch) -> dict[str, Any]:
    rounds = epoch.parameters.epoch_rounds
    here = not lacks_encoders(epoch)
    return {
        "epoch": epoch.number,
        "digest": epoch.digest.hex(),
        "previous": _named(epoch.record.previous),
        "first_round": epoch.number * rounds,
        "last_round": (epoch.number + 1) * rounds - 1,
        "validators": len(epoch.validators),
        "stake": epoch.total_stake,
        "encoders": len(epoch.encoders) if here else None,
        "on_probation": sum(map(epoch.is_on_probation, epoch.encoders)) if here else None,
        "evidence": len(epoch.record.evidence),
        "means": _named(epoch.record.means),
        "moments": _named(epoch.record.moments),
    }


def _encoder(epoch: Epoch, state: EncoderState) -> RecordEncoder:
    return RecordEncoder(
        public_key=state.public_key.hex(),
        stake=state.stake,
        reputation_ppm=state.reputation_ppm,
        weight_ppm=state.weight_ppm,
        shards_judged=state.shards_judged,
        silent_epochs=state.silent_epochs,
        exposures=state.exposures,
        bent_millinats=state.bending.bent,
        leaning_millinats=state.bending.leaning,
        on_probation=bool(state.stake) and epoch.is_on_probation(state.public_key),
    )


def _certificate(certificate: EpochCertificate, before: Epoch | None) -> EpochCertificateDetail:
    votes = certificate.precommits
    return EpochCertificateDetail(
        round=certificate.at.round,
        votes=votes_told(before, votes),
        stake=stake_of(before, [vote.validator for vote in votes]),
        total_stake=None if before is None else before.total_stake,
        data=base64(encode(certificate)),
    )


def _named(digest: bytes) -> str | None:
    return None if digest == NOTHING else digest.hex()
