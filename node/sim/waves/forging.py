"""Encoders of real embeddings, and forgers that use what their own process has been shown by then."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from node.bench.scene import Answers, Rows, Scene
from node.bench.waves import FORGERIES, Order
from node.encoders.forging import matched_masks, whole_views
from node.sim.encoder import SimEncoder
from node.sim.network import Peer
from node.sim.waves.dealer import TellingValidator
from node.sim.waves.embeddings import Embeddings
from protocol.batch import open_wave
from protocol.messages import Body, Challenge
from protocol.report import DIMENSIONS
from protocol.rounds import events as ev
from protocol.schedule import ShardRound, dealer_of
from protocol.statement import Statement

PAST_ROUNDS: Final = 4
"""Rounds whose full views a forger remembers: 256 of `localnet`."""
LOOK_AGAIN_MS: Final = 20
"""Until the ciphertexts of all waves are here."""

Texts = tuple[str, ...]


class EmbeddingEncoder(SimEncoder):
    """Answers with a real encoder's vectors."""

    def __init__(self, *args: Any, model: str, embeddings: Embeddings) -> None:
        super().__init__(*args)
        self._model = model
        self._embeddings = embeddings

    def rows(self, texts: Sequence[str]) -> Rows:
        """[n, 1024] what the model honestly makes of views."""
        return self._embeddings.rows(self._model, texts)

    def answers(self, texts: tuple[str, ...]) -> bytes:
        """Vectors of a wave's views."""
        return self.rows(texts).astype("<f4").tobytes()


class ForgingEncoder(EmbeddingEncoder):
    """Forges in one way from what its machine has received, or a dealer told it, before it commits.

    With `order` AT_ONCE it asks the dealer for the keys of the later waves before it answers the first.
    """

    def __init__(self, *args: Any, attack: str, order: Order, **options: Any) -> None:
        super().__init__(*args, **options)
        self._forge = FORGERIES[attack][order]
        self._order = order
        self._challenges: dict[ShardRound, Challenge] = {}  # of the round that runs
        self._shown: dict[ShardRound, dict[int, Texts]] = {}  # the same
        self._past: deque[Rows] = deque(maxlen=PAST_ROUNDS)

    def accepted(self, statement: Statement[Body]) -> None:
        """Remember where a challenge says that the ciphertexts are."""
        if isinstance(statement.body, Challenge):
            self._challenges, self._shown = {statement.body.at: statement.body}, {}
        super().accepted(statement)

    def encode(self, at: ShardRound, wave: int, texts: Texts) -> None:
        """Answer a wave, after trying to see the later ones."""
        self._shown.setdefault(at, {})[wave] = texts
        if wave == 1 and self._order is Order.AT_ONCE:
            self._ask_dealer(at, texts)
        else:
            self._answer(at, wave, texts)

    def _ask_dealer(self, at: ShardRound, texts: Texts) -> None:
        def told(keys: Mapping[int, bytes] | None) -> None:
            self.enter(lambda: self._look_ahead(at, texts, keys or {}))

        def answer(peer: Peer) -> Mapping[int, bytes]:
            return peer.later_keys(at) if isinstance(peer, TellingValidator) else {}

        self.network.ask(self.key, dealer_of(self.epochs.of(at.epoch), at), answer, told)

    def _look_ahead(self, at: ShardRound, texts: Texts, keys: Mapping[int, bytes]) -> None:
        """Every encoder fetches the ciphertexts of all waves with the challenge; only keys are missing."""
        sealed = {wave: self.blob(self._challenges[at].waves[wave - 1].digest) for wave in keys}
        if None in sealed.values():
            self.after(LOOK_AGAIN_MS, lambda: self._look_ahead(at, texts, keys))
            return
        for wave, data in sealed.items():
            assert data is not None
            self._shown[at][wave] = tuple(view.decode() for view in open_wave(keys[wave], data))
        self._answer(at, 1, texts)

    def _answer(self, at: ShardRound, wave: int, texts: Texts) -> None:
        answers = self._forged(self._shown[at], wave).astype("<f4").tobytes()
        self.after(self.encode_ms, lambda: self.handle(at, ev.Encoded(wave, answers)))

    def _forged(self, shown: Mapping[int, Texts], wave: int) -> Rows:
        """[n, 1024] the answers to a wave."""
        rows = np.array(self.rows(shown[wave]))
        if self._can_forge(shown):
            scene, places = self._scene(shown)
            past = np.concatenate(self._past) if self._past else np.zeros((0, DIMENSIONS), np.float32)
            forged = self._forge(scene, past[None])
            answered = (forged.mask[0, :, 0], forged.inverse[0, :, 0], forged.full[0])
            rows[places[wave - 1]] = answered[wave - 1]
        if wave == 3:
            fulls = [full for _, _, full in _triples(shown[1], shown[2], shown[3])]
            self._past.append(self.rows(shown[3])[fulls])
        return rows

    def _can_forge(self, shown: Mapping[int, Texts]) -> bool:
        """Whether it sees all views, or has seen a round to guess from; the first is answered honestly."""
        return 3 in shown if self._order is Order.AT_ONCE else bool(self._past)

    def _scene(self, shown: Mapping[int, Texts]) -> tuple[Scene, tuple[NDArray[np.int64], ...]]:
        """What is known, item by item in the order of the masks; where each view stands in its wave."""
        masks = shown[1]
        count = len(masks)
        order, inverse_of, full_of = (np.arange(count) for _ in range(3))
        own = {wave: np.zeros((count, DIMENSIONS), np.float32) for wave in (1, 2, 3)}
        own[1] = self.rows(masks)
        share = np.full((count, 1), 0.5, np.float32)
        if 3 in shown:
            triples = _triples(masks, shown[2], shown[3])
            order, inverse_of, full_of = (np.array(column) for column in zip(*triples, strict=True))
            own[1], own[3] = own[1][order], self.rows(shown[3])[full_of]
        elif 2 in shown:
            likeness = (self.rows(shown[2]) @ own[1].T).astype(np.float64)
            inverse_of = np.argsort(matched_masks(likeness))
        if 2 in shown:
            own[2] = self.rows(shown[2])[inverse_of]
            share[: len(order), 0] = [
                _share(masks[mask], shown[2][inverse])
                for mask, inverse in zip(order, inverse_of, strict=True)
            ]
        answers = Answers(own[3][None], own[1][None, :, None], own[2][None, :, None])
        draw = np.random.default_rng(0)  # these forgeries draw nothing
        return Scene(answers, answers, answers, share[: len(order)], draw), (order, inverse_of, full_of)


@lru_cache(maxsize=4)
def _triples(masks: Texts, inverses: Texts, later: Texts) -> tuple[tuple[int, int, int], ...]:
    """(mask, inverse, full) of every item, found by its words."""
    return tuple((mask, inverse, full) for full, mask, inverse in whole_views(later, masks, inverses))


def _share(mask: str, inverse: str) -> float:
    """The mask's share of its item's bytes, as `Mask.share_ppm` has it."""
    part, rest = (len(text.replace(" ", "").encode()) for text in (mask, inverse))
    return part / max(1, part + rest)
