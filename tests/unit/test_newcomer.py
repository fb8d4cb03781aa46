"""A newcomer aligned on 1,000 pairs of a network's consensus is scored among its upper half."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from node.corpus import load_challenge_pool
from node.encoders import Encoder, load_encoder
from node.encoders.alignment import AffineMap, fit
from node.encoders.anchors import anchor_texts
from node.encoders.catalogue import AlignedEncoder, load_native, own_way
from node.encoders.encoder import NativeEncoder
from node.encoders.refit import Way, fitted_to
from protocol.batch import PPM, Role, plan_batch
from protocol.items import canonical_text
from scoring import ShardScores, score_shard

ITEMS = 64
PAIRS = 1_000
ROUNDS = 4
"""Rounds the newcomer is judged in: all that its probation asks for."""
ROLES = (Role.FULL, Role.MASK, Role.INVERSE)
NETWORK = ("wordllama-256", "wordllama-256", "wordllama-128", "wordllama-128", "wordllama-64", "wordllama-64")
Rows = NDArray[np.float32]


@dataclass
class Network:
    """Rounds as validators score them: answers less the means of past rounds, the consensus by weight."""

    encoders: list[Encoder]
    means: Rows | None = None
    seen: dict[bytes, Rows] = field(default_factory=dict)

    def round(self, number: int, texts: Sequence[str]) -> tuple[tuple[bytes, ...], ShardScores]:
        """A round's items, in its order, and its scores."""
        batch = plan_batch(bytes(31) + bytes([number]), [canonical_text(text) for text in texts], (), 1)
        views = {(view.role, view.item): view.data.decode() for wave in batch.waves for view in wave}
        asked = [views[role, item] for role in ROLES for item in range(len(texts))]
        by_name = {encoder.name: encoder.encode(asked) for encoder in self.encoders}
        answers = torch.from_numpy(np.stack([by_name[encoder.name] for encoder in self.encoders]))
        full, mask, inverse = answers.view(len(self.encoders), len(ROLES), len(texts), -1).unbind(1)
        share = torch.tensor([shares[0] / PPM for shares in batch.mask_share_ppm])[:, None]
        known = None if self.means is None else torch.from_numpy(self.means)
        found = score_shard(full, mask[:, :, None], inverse[:, :, None], share, means=known)
        self.means = found.means.numpy() if self.means is None else self.means
        return batch.items, found


def _pairs(network: Network, texts: Sequence[str]) -> tuple[list[str], Rows]:
    items: list[str] = []
    vectors = []
    for number, start in enumerate(range(0, len(texts) - ITEMS + 1, ITEMS)):
        named, found = network.round(number, texts[start : start + ITEMS])
        if number:  # the first has no means, and its consensus lies elsewhere
            items += [item.decode() for item in named]
            vectors.append(found.consensus.numpy())
    return items[:PAIRS], np.concatenate(vectors)[:PAIRS]


def _rank(native: NativeEncoder, fitted: AffineMap, way: Way, texts: Sequence[str]) -> tuple[int, float]:
    """Among the newcomer and the network: how many score better, and its mean score."""
    network = Network([*(load_encoder(name) for name in NETWORK), AlignedEncoder(native, fitted, way)])
    scores = []
    for number in range(ROUNDS + 1):
        found = network.round(100 + number, texts[number * ITEMS :][:ITEMS])[1]
        if number:
            scores.append(found.score.numpy())
    mean = np.mean(scores, axis=0)
    return 1 + int((mean[:-1] > mean[-1]).sum()), float(mean[-1])


def _newcomer(name: str) -> tuple[int, float, float]:
    """Its rank and score aligned to the consensus, and its score aligned to as many anchors."""
    pool = load_challenge_pool(None)
    random.Random(0).shuffle(pool)  # as a network's rounds are of all of it
    judged_on = pool[-(ROUNDS + 1) * ITEMS :]
    texts = pool[: PAIRS + 2 * ITEMS]
    assert len(texts) + len(judged_on) <= len(pool)
    items, vectors = _pairs(Network([load_encoder(one) for one in NETWORK]), texts)
    assert len(items) == PAIRS
    native, way, reference = load_native(name), own_way(name), load_encoder("wordllama-256")
    assert way is not None
    anchors = anchor_texts()[:: len(anchor_texts()) // PAIRS][:PAIRS]
    before = fit(native.embed(anchors), reference.encode(anchors), way.how, ridge_strength=way.ridge_strength)
    after = fitted_to(before, native.embed(items), vectors, reference.encode(items), way)
    rank, score = _rank(native, after, way, judged_on)
    return rank, score, _rank(native, before, way, judged_on)[1]


@pytest.mark.slow
def test_newcomer__that_is_weak_scores_more_once_it_is_aligned_to_the_consensus() -> None:
    _, score, by_reference = _newcomer("ngram")
    assert score > 1.05 * by_reference > 0


@pytest.mark.minilm
@pytest.mark.timeout(900)
def test_newcomer__with_minilm_reaches_the_upper_half_of_a_wordllama_network() -> None:
    rank, score, by_reference = _newcomer("minilm")
    assert rank <= (len(NETWORK) + 1) // 2
    # The pool is of the anchors' kind, so that the consensus has little to add: it must not hurt.
    assert score > 0.9 * by_reference
