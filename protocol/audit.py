"""Everything about a report that can be checked without tensors.

One function a claim, in the order of a round. What is left for the attester are the answers (checked by
digest when they are fetched) and the numbers (recomputed from them).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from protocol.batch import Batch, BatchError, plan_batch
from protocol.chain import verify_preimage
from protocol.codec import CodecError, decode
from protocol.commitments import commitment
from protocol.epochs.view import Epoch
from protocol.genesis import Genesis, ValidatorMember
from protocol.hashing import content_digest, digest
from protocol.items import ItemError
from protocol.merkle import merkle_root, verify_merkle_proof
from protocol.messages import WAVES, Challenge, Commit, Lock, Report, Reveal
from protocol.report import (
    BODY_BYTES_MAX,
    VECTOR_BYTES,
    PoolItem,
    ReportBody,
    ScoreTask,
    consensus_leaves,
)
from protocol.schedule import (
    ShardRound,
    chain_depth,
    dealer_of,
    is_scheduled,
    mask_secret,
    pool_indices,
    shard_of,
)
from protocol.sealing import wave_key
from protocol.statement import Statement, StatementError, expect


class AuditError(Exception):
    """A claim of the report that does not hold: which term, whose (empty: nobody's), and why."""

    def __init__(self, term: str, detail: str, encoder: bytes = b"") -> None:
        super().__init__(f"{term}: {detail}")
        self.term = term
        self.detail = detail
        self.encoder = encoder


@dataclass(frozen=True, slots=True)
class AuditedReport:
    """A report whose every claim holds but for the numbers."""

    header: Statement[Report]
    body: ReportBody
    batch: Batch
    task: ScoreTask


Audit = Callable[[Epoch, Statement[Report], bytes], AuditedReport]
"""`audit_report`, or the same with a memory, where one process audits the same report for many nodes."""


def audit_report(epoch: Epoch, header: Statement[Report], data: bytes) -> AuditedReport:
    """Check the body `data` against its signed header and the members of its epoch.

    Raises AuditError at the first false claim.
    """
    report = header.body
    at = report.at
    if at.epoch != epoch.number or not is_scheduled(epoch.genesis, at):
        raise AuditError("round", "no such shard-round in this network")
    if header.signer != dealer_of(epoch, at):
        raise AuditError("dealer", "the report is not by the validator drawn to deal")
    if content_digest(data) != report.body or len(data) != report.body_bytes:
        raise AuditError("body", "the body is not the one the header names")
    try:
        body = decode(data, ReportBody, size_bytes_max=BODY_BYTES_MAX)
    except CodecError as error:
        raise AuditError("body", str(error)) from None
    challenge = _challenge(epoch, header, body)
    batch = _batch(epoch, report, challenge, body)
    commits = _commits(epoch, at, body)
    locks = _locks(epoch, header, challenge, body, commits, mask_secret(epoch, at, report.preimage))
    reveals = _reveals(epoch, at, locks, body, commits)
    _shapes(epoch, report, batch, body)
    encoders = shard_of(epoch, at)
    answers = tuple(reveals[key].body.answers if key in reveals else None for key in encoders)
    task = ScoreTask(
        at, epoch.parameters.rule, encoders, answers, batch, probation_of(epoch, encoders), epoch.record.means
    )
    _withheld(task, body)
    return AuditedReport(header, body, batch, task)


def _challenge(epoch: Epoch, header: Statement[Report], body: ReportBody) -> Statement[Challenge]:
    try:
        challenge = expect(body.challenge, epoch.network_id, Challenge)
    except StatementError as error:
        raise AuditError("challenge", str(error)) from None
    if challenge.digest != header.body.challenge or challenge.signer != header.signer:
        raise AuditError("challenge", "not the challenge the header names")
    if challenge.body.at != header.body.at:
        raise AuditError("challenge", "of another shard-round")
    p, told = epoch.parameters, challenge.body
    if (told.wave_deadline_ms, told.reveal_deadline_ms) != (p.wave_deadline_ms, p.reveal_deadline_ms):
        raise AuditError("challenge", "its deadlines are not the network's")
    return challenge


def _batch(epoch: Epoch, report: Report, challenge: Statement[Challenge], body: ReportBody) -> Batch:
    at = report.at
    dealer = epoch.validators[challenge.signer]
    if not is_own_preimage(dealer, epoch.genesis, report):
        raise AuditError("preimage", "not the preimage this round's depth asks of the dealer's chain")
    secret = mask_secret(epoch, at, report.preimage)
    if secret_commitment(secret) != challenge.body.secret_commitment:
        raise AuditError("secret", "not the mask secret the challenge committed to")
    indices = pool_indices(epoch, at)
    if not indices or tuple(item.index for item in body.scored) != indices:
        raise AuditError("items", "the scored items are not the ones the seed picks from the pool")
    for item in body.scored:
        _pool_item(dealer.pool_root, dealer.pool_size, item)
    if len(body.served) > epoch.parameters.served_items_max:
        raise AuditError("items", f"more than {epoch.parameters.served_items_max} served items")
    try:
        batch = plan_batch(
            secret,
            [item.data for item in body.scored],
            body.served,
            epoch.parameters.masks_per_item,
            epoch.genesis.modality,
            epoch.genesis.first_mask,
        )
    except (BatchError, ItemError) as error:
        raise AuditError("items", str(error)) from None
    for wave, sealed, told in zip(WAVES, batch.sealed, challenge.body.waves, strict=True):
        views = len(batch.waves[wave - 1])
        if (content_digest(sealed), len(sealed), views) != (told.digest, told.size_bytes, told.views):
            raise AuditError("masks", f"the views of wave {wave} are not those of the items and the secret")
    if challenge.body.wave_key != wave_key(secret, 1):
        raise AuditError("masks", "the challenge's key is not that of wave 1")
    return batch


def _pool_item(root: bytes, size: int, item: PoolItem) -> None:
    if not verify_merkle_proof(root, item.data, item.index, size, item.proof):
        raise AuditError("items", f"item {item.index} is not in the dealer's committed pool")


def _commits(epoch: Epoch, at: ShardRound, body: ReportBody) -> tuple[dict[bytes, Statement[Commit]], ...]:
    shard = set(shard_of(epoch, at))
    commits: tuple[dict[bytes, Statement[Commit]], ...] = ({}, {}, {})
    order: list[tuple[int, bytes]] = []
    if len(body.commits) > len(WAVES) * len(shard):
        raise AuditError("commits", "there are more than the shard can have made")
    for data in body.commits:
        try:
            commit = expect(data, epoch.network_id, Commit)
        except StatementError as error:
            raise AuditError("commits", str(error)) from None
        if commit.body.at != at or commit.signer not in shard:
            raise AuditError("commits", "a commit of another shard-round or by a stranger to the shard")
        order.append((commit.body.wave, commit.signer))
        commits[commit.body.wave - 1][commit.signer] = commit
    if order != sorted(set(order)):
        raise AuditError("commits", "commits are not in order or doubled")
    return commits


def _locks(
    epoch: Epoch,
    header: Statement[Report],
    challenge: Statement[Challenge],
    body: ReportBody,
    commits: tuple[dict[bytes, Statement[Commit]], ...],
    secret: bytes,
) -> tuple[Statement[Lock], ...]:
    locks: list[Statement[Lock]] = []
    previous = challenge.digest
    members = set(shard_of(epoch, header.body.at))
    for wave, data in zip(WAVES, body.locks, strict=True):
        try:
            lock = expect(data, epoch.network_id, Lock)
        except StatementError as error:
            raise AuditError("locks", str(error)) from None
        if (lock.signer, lock.body.at, lock.body.wave, lock.body.previous) != (
            header.signer,
            header.body.at,
            wave,
            previous,
        ):
            raise AuditError("locks", f"lock {wave} does not follow from the one before")
        if lock.body.next_wave_key != (wave_key(secret, wave + 1) if wave < 3 else b""):
            raise AuditError("locks", f"lock {wave} brings a wrong key")
        told = [(ref.encoder, ref.commit) for ref in lock.body.commits]
        if told != sorted((key, commit.digest) for key, commit in commits[wave - 1].items()):
            raise AuditError("locks", f"lock {wave} and the commits of its wave differ")
        if not {key for key, _ in told} <= members:
            raise AuditError("locks", f"lock {wave} holds an encoder that missed the wave before")
        if any(commit.body.lock != previous for commit in commits[wave - 1].values()):
            raise AuditError("locks", f"a commit of wave {wave} answers another lock")
        members = {key for key, _ in told}
        previous = lock.digest
        locks.append(lock)
    if previous != header.body.lock:
        raise AuditError("locks", "the header names another last lock")
    return tuple(locks)


def _reveals(
    epoch: Epoch,
    at: ShardRound,
    locks: tuple[Statement[Lock], ...],
    body: ReportBody,
    commits: tuple[dict[bytes, Statement[Commit]], ...],
) -> dict[bytes, Statement[Reveal]]:
    reveals: dict[bytes, Statement[Reveal]] = {}
    if len(body.reveals) > len(commits[2]):
        raise AuditError("reveals", "there are more than encoders that committed to wave 3")
    for data in body.reveals:
        try:
            reveal = expect(data, epoch.network_id, Reveal)
        except StatementError as error:
            raise AuditError("reveals", str(error)) from None
        key = reveal.signer
        if reveal.body.at != at or reveal.body.lock != locks[2].digest or key not in commits[2]:
            raise AuditError("reveals", "a reveal that answers another lock", key)
        wave = contradicted_wave(epoch.network_id, reveal, [wave_commits[key] for wave_commits in commits])
        if wave is not None:
            raise AuditError("reveals", f"the reveal contradicts the commit of wave {wave}", key)
        reveals[key] = reveal
    if [*reveals] != sorted(reveals) or len(reveals) != len(body.reveals):
        raise AuditError("reveals", "reveals are not in order or doubled")
    if len(reveals) < epoch.parameters.encoders_min:
        raise AuditError("reveals", f"fewer than {epoch.parameters.encoders_min} encoders revealed: void")
    return reveals


def _shapes(epoch: Epoch, report: Report, batch: Batch, body: ReportBody) -> None:
    encoders, items = len(shard_of(epoch, report.at)), len(batch.items)
    scores = body.scores
    if report.items != items:
        raise AuditError("items", "the header counts other items")
    if len(scores.valid) != encoders * items or set(scores.valid) - {0, 1}:
        raise AuditError("valid", "the valid mask has another shape")
    arrays = [("score", scores.score), ("weight", scores.weight)]
    arrays += [(term.name, term.values) for term in scores.terms]
    for name, values in arrays:
        if len(values) != 8 * encoders:
            raise AuditError(name, "has another shape")
    if len({name for name, _ in arrays}) != len(arrays):
        raise AuditError("terms", "a term appears twice")
    if len(scores.consensus) != VECTOR_BYTES * items:
        raise AuditError("consensus", "has another shape")
    if len(scores.means) != VECTOR_BYTES * encoders:
        raise AuditError("means", "has another shape")
    if merkle_root(consensus_leaves(batch.items, scores.consensus)) != report.consensus_root:
        raise AuditError("consensus", "the vectors are not those the header binds")


def _withheld(task: ScoreTask, body: ReportBody) -> None:
    """What cannot have been revealed: answers without a reveal, and one blob as the answers to two sizes."""
    items = len(task.batch.items)
    sizes_views: dict[bytes, int] = {}
    for row, (key, names) in enumerate(zip(task.encoders, task.answers, strict=True)):
        if names is None:
            if any(body.scores.valid[row * items : (row + 1) * items]):
                raise AuditError("valid", "answers that were never revealed are called valid", key)
            continue
        for name, views in zip(names, task.batch.waves, strict=True):
            if sizes_views.setdefault(name, len(views)) != len(views):
                raise AuditError("reveals", "one blob is named as the answers to waves of two sizes", key)


def probation_of(epoch: Epoch, encoders: tuple[bytes, ...]) -> tuple[bool, ...]:
    """Which of a shard's encoders are too new to have weight."""
    return tuple(epoch.is_on_probation(key) for key in encoders)


def is_own_preimage(dealer: ValidatorMember, genesis: Genesis, report: Report) -> bool:
    """Whether a report shows the preimage that its place asks of its dealer's hash chain."""
    return verify_preimage(dealer.chain_tip, report.preimage, chain_depth(genesis, report.at))


def secret_commitment(secret: bytes) -> bytes:
    """What a challenge says of its mask secret."""
    return digest("secret-commitment", secret)


def reveal_commitment(
    network_id: bytes, encoder: bytes, commit: Commit, salt: bytes, answers: bytes
) -> bytes:
    """The commitment a salt and a digest of answers open."""
    at = commit.at
    return commitment(
        salt,
        answers,
        network=network_id,
        encoder=encoder,
        epoch=at.epoch,
        round=at.round,
        shard=at.shard,
        wave=commit.wave,
        lock=commit.lock,
    )


def contradicted_wave(
    network_id: bytes, reveal: Statement[Reveal], commits: list[Statement[Commit]]
) -> int | None:
    """The first wave whose commit the reveal does not open, if any."""
    for index, commit in enumerate(commits):
        salt, answers = reveal.body.salts[index], reveal.body.answers[index]
        if reveal_commitment(network_id, reveal.signer, commit.body, salt, answers) != commit.body.commitment:
            return index + 1
    return None
