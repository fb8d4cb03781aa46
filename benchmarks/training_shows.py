"""What trained models are worth on data they have not seen: digits of new classes, series with few labels.

python -m benchmarks.training_shows digits --seeds 5
python -m benchmarks.training_shows series --seeds 5
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from node.modalities import decode_view
from node.training.mixture import Constants, Mixture
from node.training.models import PatchNet, StepNet, build_model
from node.training.positives import Positives
from node.training.samples import CHANNELS, sample_images, sample_series
from node.training.train import Options, train
from node.training.training_set import TrainingSet

DIGIT_PIXELS = 32
DIGIT_LOSSES = {
    Positives.LABELS: ("triplet=1", "generalized-triplet=1"),
    Positives.MOVES: ("generalized-triplet=1",),
}
GALLERY_EACH = (1, 5, 20)
"""Images of each unseen class in the gallery."""
DRAWS = 20
"""Galleries, or choices of what is labelled, drawn for each seed."""
LABELLED_SHARE = 0.1

Rows = NDArray[np.float64]


def raw_rows(data: TrainingSet) -> Rows:
    """Views as a model sees them, flat."""
    return np.stack([np.asarray(decode_view(data.modality, item), np.float64).ravel() for item in data.items])


def digits(seed: int, epochs: int) -> dict[str, float]:
    """1-NN accuracy of probes in a gallery of five classes that were never trained on."""
    data = sample_images(DIGIT_PIXELS)
    assert data.labels is not None
    classes = np.random.default_rng((seed, 5)).permutation(10)
    seen, unseen = (np.flatnonzero(np.isin(data.labels, part)) for part in (classes[:5], classes[5:]))
    models = {}
    for source, losses in DIGIT_LOSSES.items():
        model = models[source] = build_model(PatchNet(), seed)
        mixture = Mixture.parsed(losses, Constants(margin=0.2))
        options = Options(mixture, source, epochs=epochs, rate=0.001, seed=seed, patience_epochs=epochs)
        with TemporaryDirectory() as folder:
            train(model, data.part(seen), options, Path(folder))
    test, raw = data.part(unseen), raw_rows(data)
    assert test.labels is not None
    spaces = {
        "raw pixels": raw[unseen],
        "PCA, 30": PCA(30, random_state=0).fit(raw[seen]).transform(raw[unseen]),
        "untrained": build_model(PatchNet(), seed).embed(test.items),
        "triplets by labels": models[Positives.LABELS].embed(test.items),
        "triplets by moves": models[Positives.MOVES].embed(test.items),
    }
    draw = np.random.default_rng((seed, 6))
    found: dict[str, list[float]] = {}
    for each in GALLERY_EACH:
        for _ in range(DRAWS):
            gallery = np.concatenate(
                [
                    draw.permutation(np.flatnonzero(test.labels == one))[:each]
                    for one in np.unique(test.labels)
                ]
            )
            probes = np.setdiff1d(np.arange(len(test)), gallery)
            for name, rows in spaces.items():
                nearest = KNeighborsClassifier(1).fit(rows[gallery], test.labels[gallery])
                right = nearest.score(rows[probes], test.labels[probes])
                found.setdefault(f"{name}, gallery of {each}", []).append(float(right))
    return {name: float(np.mean(values)) for name, values in found.items()}


def series(seed: int, epochs: int) -> dict[str, float]:
    """Accuracy on recordings never seen, with a tenth of the labels of those trained on."""
    data = sample_series(seed)
    assert data.labels is not None
    assert data.recordings is not None
    last = data.recordings.max()
    learning = np.flatnonzero(data.recordings <= last - 3)
    tested = np.flatnonzero(data.recordings > last - 3)
    model = build_model(StepNet(channels=CHANNELS), seed)
    mixture = Mixture.parsed(["infonce=1"])
    options = Options(mixture, Positives.WINDOWS, epochs=epochs, seed=seed, patience_epochs=epochs)
    with TemporaryDirectory() as folder:
        train(model, data.part(learning), options, Path(folder))
    raw = raw_rows(data)
    spectrum = np.abs(np.fft.rfft(raw.reshape(len(data), -1, CHANNELS), axis=1)).reshape(len(data), -1)
    spaces = {
        "raw": raw,
        "amplitude spectrum": spectrum,
        "untrained": build_model(StepNet(channels=CHANNELS), seed).embed(data.items),
        "neighbours": model.embed(data.items),
    }
    draw = np.random.default_rng((seed, 7))
    found: dict[str, list[float]] = {}
    for _ in range(DRAWS):
        few = draw.permutation(learning)[: round(len(learning) * LABELLED_SHARE)]
        for share, chosen in (("a tenth", few), ("all", learning)):
            if share == "all" and f"raw, {share} of the labels" in found:
                continue
            for name, rows in spaces.items():
                classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
                classifier.fit(rows[chosen], data.labels[chosen])
                right = classifier.score(rows[tested], data.labels[tested])
                found.setdefault(f"{name}, {share} of the labels", []).append(float(right))
    return {name: float(np.mean(values)) for name, values in found.items()}


SHOWS = {"digits": digits, "series": series}


def main() -> None:
    """Run a show over seeds; print medians and ranges."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("show", choices=SHOWS)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    began_s = time.process_time()
    runs = []
    for seed in range(given.seeds):
        runs.append(SHOWS[given.show](seed, given.epochs))
        print(f"seed {seed} done, {time.process_time() - began_s:.0f} s CPU", file=sys.stderr)
        if given.json is not None:
            given.json.write_text(json.dumps(runs))
    for name in runs[0]:
        values = [run[name] for run in runs]
        print(f"{name:40} median {median(values):.3f}, {min(values):.3f} to {max(values):.3f}")
    print(f"{time.process_time() - began_s:.0f} s CPU, {given.seeds} seeds, {given.epochs} epochs")


if __name__ == "__main__":
    main()
