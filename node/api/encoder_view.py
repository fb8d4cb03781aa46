"""Encoders for the API: what the newest record says of them, beside how they did of late."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from node.api.models.members import Encoder, ScoreEntry
from node.api.service import Service
from node.store import ScoreAverage, ScoreRecord
from protocol.epochs.record import EncoderState
from protocol.epochs.view import PPM, Epoch
from protocol.messages import Registration
from protocol.statement import parse

MEAN_ROUNDS: Final = 20
"""Scored rounds the means are over."""
REGISTERED_EPOCHS: Final = 4
"""Newest epochs in which a registration is looked for: statements of old rounds are dropped."""
_LOF: Final = "local_outlier_factor"


def encoders_of(service: Service, epoch: Epoch, keys: Sequence[bytes]) -> tuple[Encoder, ...]:
    """Encoders of an epoch by their keys. Raises StoreError."""
    since = service.store.scored_since(MEAN_ROUNDS)
    averages = service.store.averages_of(keys, since)
    newest = service.store.newest_scores_of(keys)
    return tuple(
        _encoder(service, epoch, epoch.encoders[key], averages.get(key), newest.get(key)) for key in keys
    )


def encoder_of(service: Service, epoch: Epoch, key: bytes) -> Encoder:
    """One of them. Raises StoreError."""
    (found,) = encoders_of(service, epoch, [key])
    return found


def history_of(service: Service, key: bytes, rounds: int) -> tuple[ScoreEntry, ...]:
    """An encoder's scores in the newest scored rounds, newest first. Raises StoreError."""
    epoch_rounds = service.genesis.parameters.epoch_rounds
    return tuple(
        ScoreEntry(
            round=one.round,
            shard=one.shard,
            epoch=one.round // epoch_rounds,
            score=one.score,
            weight=one.weight,
            terms=dict(one.terms),
        )
        for one in service.store.scores(rounds, key)
    )


def _encoder(
    service: Service,
    epoch: Epoch,
    state: EncoderState,
    average: ScoreAverage | None,
    newest: ScoreRecord | None,
) -> Encoder:
    terms = {} if newest is None else dict(newest.terms)
    return Encoder(
        public_key=state.public_key.hex(),
        model=_model(service, epoch, state.public_key),
        stake=state.stake,
        reputation=state.reputation_ppm / PPM,
        probation=epoch.is_on_probation(state.public_key),
        score=None if average is None else average.score,
        weight=None if average is None else average.weight,
        terms=terms,
        lof=terms.get(_LOF),
        rounds=0 if average is None else average.shards,
        last_round=None if newest is None else newest.round,
    )


def _model(service: Service, epoch: Epoch, key: bytes) -> str | None:
    if key in service.genesis.encoders:
        return None
    rounds = epoch.parameters.epoch_rounds
    first = [number * rounds for number in range(epoch.number, max(-1, epoch.number - REGISTERED_EPOCHS), -1)]
    data = service.store.registration_of(key, first)
    if data is None:
        return None
    try:
        body = parse(data, service.genesis.network_id).body
    except ValueError:  # damaged on disk
        return None
    return body.model if isinstance(body, Registration) else None
