"""An encoder of one shard-round: fetch, embed, commit, three times; then reveal."""

from __future__ import annotations

from protocol.audit import reveal_commitment
from protocol.batch import open_wave
from protocol.codec import CodecError
from protocol.commitments import ANSWER_BYTES
from protocol.epochs.view import Epoch
from protocol.hashing import content_digest, digest
from protocol.items import ItemError
from protocol.messages import WAVES, Challenge, Commit, CommitRef, Lock, Reveal
from protocol.rounds.effects import Effect, Encode, Fetch, Penalise, Provide, Publish, Purpose, Send, Step
from protocol.rounds.events import Encoded, Event, Fetched, Received, Unavailable
from protocol.rounds.phases import ENCODER_TABLE, EncoderMove, EncoderPhase, Phases
from protocol.schedule import ShardRound, dealer_of, shard_of, witnesses_of
from protocol.sealing import SealError
from protocol.statement import Statement, statement_digest


class EncoderMachine:
    """One shard-round as one of its encoders lives it.

    `salt_seed` is a secret of the node: salts are derived from it, so that a machine stays a pure function.
    """

    def __init__(self, epoch: Epoch, at: ShardRound, me: bytes, salt_seed: bytes) -> None:
        self.epoch = epoch
        self.at = at
        self.me = me
        self._salt_seed = salt_seed
        self._phases = Phases(EncoderPhase.IDLE, ENCODER_TABLE)
        self._dealer = dealer_of(epoch, at)
        self._wave = 1
        self._challenge: Challenge | None = None
        self._answered = b""  # digest of the statement the current wave's commit answers
        self._committed = b""  # digest of that commit
        self._key = b""
        self._sealed: dict[bytes, bytes] = {}
        self._answers: dict[int, bytes] = {}

    @property
    def phase(self) -> EncoderPhase:
        """Where this encoder is."""
        return self._phases.current

    def handle(self, event: Event, now_ms: int) -> list[Effect]:
        """The effects of one event; events that do not concern the current phase have none."""
        match event:
            case Received(statement) if statement.signer != self._dealer:
                return []
            case Received(statement) if isinstance(statement.body, Challenge):
                return self._start(statement, statement.body)  # type: ignore[arg-type]
            case Received(statement) if isinstance(statement.body, Lock):
                return self._lock(statement, statement.body)  # type: ignore[arg-type]
            case Fetched(name, data) if self._challenge and name in self._wave_digests():
                self._sealed[name] = data
                return self._open_if_here()
            case Unavailable(name, _) if self._challenge and name in self._wave_digests():
                return self._quit("the views could not be fetched")
            case Encoded(wave, answers) if wave == self._wave:
                return self._encoded(wave, answers)
        return []

    def _start(self, statement: Statement[Challenge], challenge: Challenge) -> list[Effect]:
        if self.phase is not EncoderPhase.IDLE or self.me not in shard_of(self.epoch, self.at):
            return []
        self._challenge = challenge
        self._answered = statement.digest
        self._key = challenge.wave_key
        self._phases.move(EncoderMove.CHALLENGE)
        # All ciphertexts now, so that later waves wait for a key only.
        return [
            Fetch(wave.digest, wave.size_bytes, (self._dealer,), Purpose.VIEWS) for wave in challenge.waves
        ]

    def _wave_digests(self) -> set[bytes]:
        assert self._challenge is not None
        return {wave.digest for wave in self._challenge.waves}

    def _open_if_here(self) -> list[Effect]:
        if self.phase is not EncoderPhase.FETCHING or self._challenge is None:
            return []
        told = self._challenge.waves[self._wave - 1]
        sealed = self._sealed.get(told.digest)
        if sealed is None:
            return []
        try:
            views = open_wave(self._key, sealed, self.epoch.genesis.modality)
        except (SealError, CodecError, ItemError) as error:
            return [Penalise(self._dealer, "its views do not open"), *self._quit(str(error))]
        if len(views) != told.views:
            return [Penalise(self._dealer, "its challenge miscounts views"), *self._quit("miscounted views")]
        self._phases.move(EncoderMove.OPEN)
        return [Encode(self._wave, views)]

    def _encoded(self, wave: int, answers: bytes) -> list[Effect]:
        if not self._phases.can(EncoderMove.COMMIT):
            return []
        assert self._challenge is not None
        expected = self._challenge.waves[wave - 1].views * ANSWER_BYTES
        if len(answers) != expected:
            return self._quit(f"the model answered {len(answers)} bytes where {expected} belong")
        self._answers[wave] = answers
        self._phases.move(EncoderMove.COMMIT)
        unopened = Commit(self.at, wave, self._answered, bytes(32))
        commitment = reveal_commitment(
            self.epoch.network_id, self.me, unopened, self._salt(wave), content_digest(answers)
        )
        commit = Commit(self.at, wave, self._answered, commitment)
        self._committed = statement_digest(self.epoch.network_id, self.me, commit)
        return [Send(commit, (self._dealer, *witnesses_of(self.epoch, self.at, self.me)))]

    def _lock(self, statement: Statement[Lock], lock: Lock) -> list[Effect]:
        if lock.wave != self._wave or lock.previous != self._answered:
            return []
        if self.phase is EncoderPhase.ENCODING:
            self._phases.move(EncoderMove.MISS)
            return []
        if self.phase is EncoderPhase.FETCHING:
            return self._quit("the wave closed before its views were here")
        if self.phase is not EncoderPhase.COMMITTED:
            return []
        if CommitRef(self.me, self._committed) not in lock.commits:
            return self._quit(f"the lock of wave {lock.wave} came without this encoder's commit")
        self._answered = statement.digest
        if lock.wave == WAVES[-1]:
            return self._reveal(lock)
        self._wave += 1
        self._key = lock.next_wave_key
        self._phases.move(EncoderMove.NEXT_WAVE)
        return self._open_if_here()

    def _reveal(self, lock: Lock) -> list[Effect]:
        self._phases.move(EncoderMove.REVEAL)
        first, second, third = (content_digest(self._answers[wave]) for wave in WAVES)
        salts = (self._salt(1), self._salt(2), self._salt(3))
        reveal = Reveal(self.at, self._answered, salts, (first, second, third))
        return [
            *(Provide(self._answers[wave], Purpose.REVEAL) for wave in WAVES),
            Send(reveal, (self._dealer,)),
            Publish(self.at, Step.REVEALED, answered=(self.me,)),
        ]

    def _quit(self, reason: str) -> list[Effect]:
        if not self._phases.can(EncoderMove.QUIT):
            return []
        self._phases.move(EncoderMove.QUIT)
        return [Publish(self.at, Step.VOID, wave=self._wave, missing=(self.me,), detail=reason)]

    def _salt(self, wave: int) -> bytes:
        place = self.at.round.to_bytes(8, "big") + self.at.shard.to_bytes(4, "big") + bytes([wave])
        return digest("salt", self._salt_seed, self.epoch.network_id, place)
