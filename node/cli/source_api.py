"""Reading any validator's HTTP API: what it says is believed, as a node's own data directory is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from node.cli.dispute_view import DisputeDetail
from node.cli.errors import CommandError, ExitCode
from node.cli.round_view import RoundDetail, RoundSummary
from node.cli.told_bar import told_bar
from node.client import BadAnswerError, Client, NotFoundError, answers
from node.status import NodeStatus
from node.store import ScoreRecord, StepRecord
from protocol.codec import CodecError, decode
from protocol.epochs.agreed import CertifiedRecord
from protocol.epochs.record import RECORD_BYTES_MAX, EncoderTable, EpochRecord, RecordError, table_of
from protocol.epochs.view import Epoch
from protocol.genesis import Genesis, GenesisError
from protocol.messages import Dispute
from protocol.schedule import ShardRound

if TYPE_CHECKING:
    from collections.abc import Iterator

CERTIFIED = "certified"


class ApiSource:
    """What a validator tells whoever asks."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def genesis(self) -> Genesis:
        """That the server names."""
        return self._genesis

    @cached_property
    def _genesis(self) -> Genesis:
        try:
            return Genesis.from_bytes(self._client.genesis())
        except GenesisError as error:
            raise BadAnswerError(f"the server's genesis is none ({error}): ask another validator") from None

    def rounds(self, last: int) -> Sequence[RoundSummary]:
        """The shards of the newest rounds; one call more for each certified one, to say who attested."""
        found = []
        details: dict[int, answers.RoundDetail] = {}
        for one in self._client.newest_rounds(last):
            attestations = 0
            if one.state == CERTIFIED:
                if one.round not in details:
                    details = {one.round: self._client.round(one.round)}
                attestations = next(
                    (
                        len(shard.attestations)
                        for shard in details[one.round].shards
                        if shard.shard == one.shard
                    ),
                    0,
                )
            found.append(_summary(one, attestations))
        return found

    def round(self, number: int) -> Sequence[RoundDetail]:
        """All shards of a round."""
        stakes = dict(self.genesis().validator_stakes)
        return [_detail(shard, stakes) for shard in self._round(number).shards]

    def disputes(self, number: int) -> Sequence[DisputeDetail]:
        """The disputes of a round."""
        found = [_dispute(one) for one in self._client.disputes(number)]
        if not found:
            self._round(number)
        return found[::-1]

    def scores(self, last: int) -> Sequence[ScoreRecord]:
        """Of the newest scored rounds, one call each."""
        found: list[ScoreRecord] = []
        numbers: set[int] = set()
        for number in self._certified():
            rows = [row for shard in self._client.round(number).shards for row in scores_of(number, shard)]
            if rows:
                numbers.add(number)
                found += rows
            if len(numbers) == last:
                break
        return found

    def epochs(self, last: int) -> Sequence[Epoch]:
        """The newest epochs."""
        newest = self._client.status().epoch
        return [self._epoch(number) for number in range(max(0, newest - last + 1), newest + 1)]

    def epoch(self, number: int) -> Epoch:
        """One epoch with its encoders."""
        if number:
            # The server says best why it does not have them.
            self._client.epoch_encoders(number)
        return self._epoch(number)

    def export(self, number: int, shard: int, to: Path) -> int:
        """Download the report as the server gathers it."""
        found = next((one for one in self._round(number).shards if one.shard == shard), None)
        if found is None:
            raise CommandError(
                f"round {number} has no shard {shard} there: see `rounds show`", ExitCode.BAD_INPUT
            )
        if found.state != CERTIFIED or found.report is None:
            raise CommandError(
                f"round {number} shard {shard} is {found.state[:20]}, and only certified ones are exported: "
                "`deltamesh rounds` lists them",
                ExitCode.NODE_STATE,
            )
        with told_bar("downloading") as told:
            return self._client.report_bundle(found.report, to, told)

    def _round(self, number: int) -> answers.RoundDetail:
        try:
            return self._client.round(number)
        except NotFoundError as error:
            raise CommandError(str(error), ExitCode.BAD_INPUT) from None

    def _certified(self) -> Iterator[int]:
        told: int | None = None
        for one in self._client.rounds():
            if one.state == CERTIFIED and one.round != told:
                told = one.round
                yield one.round

    def _epoch(self, number: int) -> Epoch:
        genesis = self.genesis()
        if number == 0:
            return Epoch.first(genesis)
        try:
            told = decode(
                self._client.epoch_record(number), CertifiedRecord, size_bytes_max=2 * RECORD_BYTES_MAX
            )
            record = decode(told.record, EpochRecord, size_bytes_max=RECORD_BYTES_MAX)
            try:
                table = table_of(record, self._client.epoch_encoders(number))
            except NotFoundError:
                table = EncoderTable(())
            return Epoch(genesis, record, table)
        except (CodecError, RecordError) as error:
            raise BadAnswerError(
                f"the server's record of epoch {number} is none ({error}): ask another validator"
            ) from None


def status_of(client: Client) -> NodeStatus:
    """The status of the validator asked, with its peers. Its process is not told: 0."""
    told = client.status()
    return NodeStatus(
        role=told.role,
        public_key=told.public_key,
        network_id=told.network_id,
        pid=0,
        version=told.version,
        started_ms=told.started_ms,
        updated_ms=told.updated_ms,
        addresses=told.addresses,
        peers=tuple(client.peers()),
        round=told.round,
        last_certified_round=told.last_certified_round,
        phase=told.phase,
        counters=told.counters,
        api=told.api,
        modality=told.modality,
    )


def scores_of(number: int, shard: answers.RoundShard) -> list[ScoreRecord]:
    """The scores of one shard-round as the store has them."""
    return [
        ScoreRecord(
            number,
            shard.shard,
            bytes.fromhex(one.encoder),
            _number(one.score),
            _number(one.weight),
            {name: _number(value) for name, value in one.terms.items()},
        )
        for one in shard.scores
    ]


def _summary(one: answers.Round, attestations: int) -> RoundSummary:
    return RoundSummary(
        one.round,
        one.shard,
        one.epoch,
        one.state,
        None if one.dealer is None else bytes.fromhex(one.dealer),
        None if one.report is None else bytes.fromhex(one.report),
        attestations,
        {},
        one.updated_ms,
    )


def _detail(shard: answers.RoundShard, stakes: Mapping[bytes, int]) -> RoundDetail:
    attested = [bytes.fromhex(key) for key in shard.attestations]
    return RoundDetail(
        summary=_summary(shard, len(attested)),
        steps=tuple(
            StepRecord(
                shard.round,
                shard.shard,
                one.step,
                one.wave,
                one.elapsed_ms,
                tuple(bytes.fromhex(key) for key in one.answered),
                tuple(bytes.fromhex(key) for key in one.missing),
                one.detail,
                one.at_ms,
            )
            for one in shard.steps
        ),
        scores=tuple(scores_of(shard.round, shard)),
        signers={key: stakes.get(key, 0) for key in attested},
        disputes=tuple(map(_dispute, shard.disputes)),
    )


def _dispute(one: answers.Dispute) -> DisputeDetail:
    body = None
    if one.term is not None and one.report is not None:
        body = Dispute(
            ShardRound(0, one.round, one.shard),
            bytes.fromhex(one.report),
            one.term,
            bytes.fromhex(one.encoder or ""),
            one.difference_ppm or 0,
            one.detail,
        )
    return DisputeDetail(
        round=one.round,
        shard=one.shard,
        disputer=bytes.fromhex(one.disputer),
        stake=one.stake,
        received_ms=one.received_ms,
        body=body,
        dealer=bytes.fromhex(one.dealer or ""),
        tolerance_ppm=one.tolerance_ppm,
        unreadable="" if body is not None else one.detail,
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else value
