"""A round as its dealer would have to deal it to lie: changed at one place, signed again by everybody."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from protocol.audit import reveal_commitment, secret_commitment
from protocol.batch import plan_batch
from protocol.hashing import content_digest, digest
from protocol.merkle import merkle_root
from protocol.messages import CommitRef, Report
from protocol.report import VECTOR_BYTES, ReportBody, consensus_leaves
from protocol.schedule import ShardRound
from protocol.sealing import wave_key
from protocol.statement import Statement
from tests.support.epochs import mask_secret, shard_of
from tests.support.honest_round import honest_round

HONEST = honest_round()
AT, DEALER, BODY = HONEST.at, HONEST.dealer, HONEST.body
SECRET = mask_secret(HONEST.genesis, AT, HONEST.header.body.preimage)
CAROL = HONEST.shard[1]

Lie = tuple[Statement[Report], bytes]


def changed(record: Any, /, **changes: object) -> Any:
    return msgspec.structs.replace(record, **changes)


def answers_named(key: bytes, wave: int) -> bytes:
    """A digest for the answers of every encoder and wave."""
    return digest("test-answers", key, bytes([wave]))


class Replay:
    """Encoders commit to what they are told, so that nothing but the lie itself is wrong."""

    def __init__(self) -> None:
        self.scored, self.served, self.secret = BODY.scored, BODY.served, SECRET
        self.shown_secret = SECRET
        self.change_challenge: dict[str, object] = {}
        self.change_lock: dict[int, dict[str, object]] = {}
        self.commit_at: ShardRound = AT
        self.commit_lock: dict[int, bytes] = {}
        self.absent: dict[int, set[bytes]] = {1: set(), 2: set(), 3: set()}
        self.encoders = HONEST.shard
        self.mute: set[bytes] = set()
        self.answers: Callable[[bytes, int], bytes] = answers_named

    def report(self) -> Lie:
        """Deal, commit, lock, reveal and report, with the keys of all."""
        sign = HONEST.sign
        batch = plan_batch(self.secret, [item.data for item in self.scored], self.served, 2)
        waves = tuple(
            changed(sealed_wave, digest=content_digest(data), size_bytes=len(data), views=len(views))
            for sealed_wave, data, views in zip(
                HONEST.challenge.body.waves, batch.sealed, batch.waves, strict=True
            )
        )
        challenge = sign(
            DEALER,
            changed(
                HONEST.challenge.body,
                **{
                    "waves": waves,
                    "wave_key": wave_key(self.secret, 1),
                    "secret_commitment": secret_commitment(self.shown_secret),
                    **self.change_challenge,
                },
            ),
        )
        previous, commits, locks = challenge.digest, [], []
        for wave in (1, 2, 3):
            made = {
                key: self._commit(key, wave, previous)
                for key in sorted(self.encoders)
                if key not in self.absent[wave]
            }
            lock = changed(
                HONEST.locks[wave - 1].body,
                **{
                    "previous": previous,
                    "commits": tuple(CommitRef(key, commit.digest) for key, commit in made.items()),
                    "next_wave_key": wave_key(self.secret, wave + 1) if wave < 3 else b"",
                    **self.change_lock.get(wave, {}),
                },
            )
            commits.append(made)
            locks.append(sign(DEALER, lock))
            previous = locks[-1].digest
        reveals = [
            sign(
                key,
                changed(
                    HONEST.reveal(CAROL).body,
                    lock=previous,
                    salts=tuple(self._salt(key, wave) for wave in (1, 2, 3)),
                    answers=tuple(self.answers(key, wave) for wave in (1, 2, 3)),
                ),
            )
            for key in sorted(commits[2].keys() & commits[1].keys() & commits[0].keys() - self.mute)
        ]
        rows, items = len(shard_of(HONEST.genesis, AT)), len(batch.items)
        consensus = bytes(VECTOR_BYTES * items)
        shown = {statement.signer for statement in reveals}
        valid = b"".join((b"\1" if key in shown else b"\0") * items for key in HONEST.shard)
        body = ReportBody(
            challenge.data,
            (locks[0].data, locks[1].data, locks[2].data),
            tuple(commit.data for made in commits for commit in made.values()),
            tuple(reveal.data for reveal in reveals),
            tuple(self.scored),
            tuple(self.served),
            changed(BODY.scores, valid=valid, consensus=consensus, score=bytes(8 * rows)),
        )
        return HONEST.report(
            body,
            challenge=challenge.digest,
            lock=locks[-1].digest,
            items=items,
            consensus_root=merkle_root(consensus_leaves(batch.items, consensus)),
        )

    def _salt(self, key: bytes, wave: int) -> bytes:
        return digest("test-salt", key, bytes([wave]))

    def _commit(self, key: bytes, wave: int, previous: bytes) -> Any:
        lock = self.commit_lock.get(wave, previous)
        draft = changed(HONEST.commit(CAROL, wave).body, lock=lock, commitment=bytes(32), at=self.commit_at)
        network_id = HONEST.genesis.network_id
        opened = reveal_commitment(network_id, key, draft, self._salt(key, wave), self.answers(key, wave))
        return HONEST.sign(key, changed(draft, commitment=opened))


def replayed(**attributes: object) -> Lie:
    """The report of a replay with these attributes."""
    replay = Replay()
    for name, value in attributes.items():
        assert hasattr(replay, name)
        setattr(replay, name, value)
    return replay.report()
