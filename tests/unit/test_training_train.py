"""The training itself: it improves, repeats itself, resumes to the same bytes, and stops early."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load

from node.training.errors import TrainingError
from node.training.learner import Learner
from node.training.lessons import LearningEncoder
from node.training.log import EpochLine
from node.training.mixture import LOSSES, Mixture
from node.training.models import EmbeddingModel, Lift, TextBag, build_model
from node.training.positives import Positives
from node.training.samples import sample_series
from node.training.train import Options, train
from node.training.training_set import TrainingSet

SMALL = TextBag(buckets=2048, width=32, dimensions=32, gram_characters=(3,))
WORDS = [f"{a}{b}" for a in ("red", "blue", "deep", "cold", "old") for b in ("sea", "hill", "wind", "stone")]


def texts(count: int, seed: int = 0) -> tuple[str, ...]:
    """Each of one of five themes of four words, so that its parts have something in common."""
    draw = np.random.default_rng(seed)
    themes = [WORDS[start : start + 4] for start in range(0, 20, 4)]
    return tuple(
        " ".join([*draw.choice(themes[number % 5], 8), *(f"x{n}" for n in draw.integers(0, 999, 6))])
        for number in range(count)
    )


def options(**changed: object) -> Options:
    given: dict[str, object] = {"mixture": Mixture.parsed(["infonce=1"]), "epochs": 4, "batch_items": 16}
    return Options(**{**given, **changed})  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def lifted(seed: int = 0) -> EmbeddingModel:
    model = build_model(SMALL, seed)
    model.lift = Lift(torch.zeros(32), torch.eye(32, 1024), torch.zeros(1024))
    return model


def consensus(items: tuple[str, ...]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    rows = lifted(99).embed(items)
    return (rows - rows.mean(axis=0)).astype(np.float32)


def test_train__finds_held_out_positives_better_than_before(tmp_path: Path) -> None:
    lines: list[EpochLine] = []
    data = TrainingSet("text", texts(160))
    done = train(build_model(SMALL, 1), data, options(epochs=6), tmp_path, on_epoch=lines.append)
    assert lines[-1].parts["infonce"] < 0.8 * lines[0].parts["infonce"]
    assert done.best >= lines[0].held_out
    rows = (tmp_path / "training.csv").read_text().splitlines()
    assert rows[0] == "epoch,loss,infonce,mrr"
    assert len(rows) == 1 + done.epochs_done


class Killed(Exception):  # noqa: N818 (what happens to it)
    """In place of a signal."""


@pytest.mark.parametrize("losses", [["infonce=1", "differential=0.3"], ["distillation=1", "triplet=0.5"]])
@pytest.mark.parametrize("survived", [1, 3])
def test_train__killed_and_resumed_writes_the_bytes_of_one_that_was_not(
    tmp_path: Path, losses: list[str], survived: int
) -> None:
    items = texts(60)
    data = TrainingSet("text", items, targets=consensus(items))
    chosen = options(mixture=Mixture.parsed(losses))
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train(lifted(1), data, chosen, whole)

    def kill(line: EpochLine) -> None:
        if line.epoch == survived:
            raise Killed

    with pytest.raises(Killed):
        train(lifted(1), data, chosen, broken, on_epoch=kill)
    train(lifted(7), data, chosen, broken, resume=True)
    for name in ("weights.safetensors", "model.json", "training.csv"):
        assert (whole / name).read_bytes() == (broken / name).read_bytes()
    mine, other = (load((at / "checkpoint.safetensors").read_bytes()) for at in (whole, broken))
    assert mine.keys() == other.keys()
    assert all(torch.equal(mine[name], other[name]) for name in mine)


def test_train__killed_between_weights_and_checkpoint_resumes_to_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, chosen = TrainingSet("text", texts(60)), options()
    train(build_model(SMALL, 1), data, chosen, tmp_path / "whole")
    from node.training import train as module

    real, calls = module.write_checkpoint, []

    def dies(*arguments: object) -> None:
        calls.append(1)
        if len(calls) == 3:
            raise Killed
        real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "write_checkpoint", dies)
    with pytest.raises(Killed):
        train(build_model(SMALL, 1), data, chosen, tmp_path / "broken")
    monkeypatch.setattr(module, "write_checkpoint", real)
    train(build_model(SMALL, 1), data, chosen, tmp_path / "broken", resume=True)
    for name in ("weights.safetensors", "training.csv"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "broken" / name).read_bytes()


def test_train__does_not_go_on_with_other_options_or_over_another_training(tmp_path: Path) -> None:
    data = TrainingSet("text", texts(40))
    train(build_model(SMALL, 1), data, options(epochs=1), tmp_path)
    with pytest.raises(TrainingError, match="--resume"):
        train(build_model(SMALL, 1), data, options(epochs=1), tmp_path)
    with pytest.raises(TrainingError, match="other options"):
        train(build_model(SMALL, 1), data, options(epochs=2, seed=5), tmp_path, resume=True)
    assert train(build_model(SMALL, 1), data, options(epochs=2), tmp_path, resume=True).epochs_done == 2


def test_train__stops_when_the_held_out_metric_no_longer_improves(tmp_path: Path) -> None:
    data = TrainingSet("text", texts(40))
    done = train(build_model(SMALL, 1), data, options(epochs=50, patience_epochs=2, rate=1e-12), tmp_path)
    assert done.epochs_done == done.best_epoch + 2 < 50


def test_train__runs_every_loss_with_finite_parts(tmp_path: Path) -> None:
    items = texts(40)
    data = TrainingSet("text", items, labels=np.arange(40) % 5, targets=consensus(items))
    lines: list[EpochLine] = []
    mixture = Mixture.parsed([f"{name}=0.5" for name in LOSSES])
    chosen = options(mixture=mixture, positives=Positives.LABELS, epochs=1)
    train(lifted(1), data, chosen, tmp_path, on_epoch=lines.append)
    assert set(lines[0].parts) == set(LOSSES)
    assert all(np.isfinite(value) for value in lines[0].parts.values())


def test_train__distils_only_from_a_consensus(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="--from-consensus"):
        train(
            build_model(SMALL),
            TrainingSet("text", texts(40)),
            options(mixture=Mixture.parsed(["distillation"])),
            tmp_path,
        )


def test_learner__comes_nearer_to_the_consensus_on_items_it_has_not_seen() -> None:
    items = texts(240)
    targets = consensus(items)
    learner = Learner(lifted(1))
    first = learner.learn(items, targets)
    second = learner.learn(items, targets)
    assert first.is_better
    assert second.before == pytest.approx(first.after)
    unseen = texts(60, seed=5)
    from node.training.held_out import agreement

    assert agreement(learner.model.embed(unseen), consensus(unseen)) > 0.1 + agreement(
        lifted(1).embed(unseen), consensus(unseen)
    )


def test_learner__keeps_its_weights_when_the_lesson_does_not_help() -> None:
    items = texts(200)
    learner = Learner(lifted(1))
    before = learner.model
    targets = before.embed(items)  # it agrees with itself as well as can be
    learnt = learner.learn(items, (targets - targets.mean(axis=0)).astype(np.float32))
    assert learnt.steps > 0
    assert not learnt.is_better
    assert learner.model is before


def test_learner__does_nothing_with_few_pairs_or_no_time() -> None:
    items = texts(200)
    learner = Learner(lifted(1))
    before = learner.model
    assert learner.learn(items[:20], consensus(items[:20])).steps == 0
    assert learner.learn(items, consensus(items), lambda: True).steps == 0
    assert learner.model is before


def test_learning_encoder__takes_up_what_it_learnt_from_the_same_model_alone(tmp_path: Path) -> None:
    from node.encoders import load_encoder
    from node.pairs import Pair, Pairs
    from node.training.folder import save_model

    save_model(tmp_path / "m", lifted(1))
    items = texts(120)
    with Pairs.open(tmp_path) as pairs:
        pairs.add(
            [
                Pair(item.encode(), row.tobytes(), 3, 0, True)
                for item, row in zip(items, consensus(items), strict=True)
            ]
        )
    encoder = LearningEncoder(load_encoder(f"trained:{tmp_path / 'm'}"), tmp_path / "learnt", "text")
    before = encoder.encode(items)
    learnt = None
    for _ in range(500):
        learnt = encoder.step(tmp_path, 0.05, is_last=False)
        if learnt is not None:
            break
    assert learnt is not None
    assert learnt.is_better
    after = encoder.encode(items)
    assert not np.allclose(before, after)
    again = LearningEncoder(load_encoder(f"trained:{tmp_path / 'm'}"), tmp_path / "learnt", "text")
    np.testing.assert_array_equal(again.encode(items), after)
    save_model(tmp_path / "m", lifted(2))
    other = LearningEncoder(load_encoder(f"trained:{tmp_path / 'm'}"), tmp_path / "learnt", "text")
    assert not np.allclose(other.encode(items), after)


@pytest.mark.slow
def test_train__of_neighbouring_windows_tells_activities_apart(tmp_path: Path) -> None:
    from sklearn.neighbors import KNeighborsClassifier

    from node.training.models import StepNet

    data = sample_series(0)
    assert data.labels is not None
    learning, tested = data.part(range(810)), data.part(range(810, 1080))
    assert learning.labels is not None
    assert tested.labels is not None
    few = np.random.default_rng(0).permutation(810)[:81]
    scores = []
    model = build_model(StepNet(channels=3, width=32, dimensions=32), 0)
    for _ in range(2):
        nearest = KNeighborsClassifier(3).fit(model.embed(learning.items)[few], learning.labels[few])
        scores.append(nearest.score(model.embed(tested.items), tested.labels))
        if len(scores) == 1:
            chosen = options(positives=Positives.WINDOWS, epochs=8, batch_items=64)
            train(model, learning, chosen, tmp_path)
    assert scores[1] > scores[0] + 0.05
