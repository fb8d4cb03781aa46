"""Whether a model would be heard in a network: loaded, aligned, and scored beside built-in ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from node.corpus import load_challenge_pool
from node.encoders import DIMENSIONS, REFERENCES, Encoder, encoder_names, load_encoder
from node.encoders.catalogue import modality_of
from node.encoders.encoder import View
from protocol.batch import PPM, Role, plan_batch
from protocol.items import canonical_text
from protocol.modalities import MODALITIES, TEXT

ITEMS: Final = 128
PANEL_TEXT: Final = ("wordllama-256", "wordllama-128", "wordllama-64", "ngram")
"""Who a model of text is scored beside; others beside all that are built in."""
WITHHELD_MAX: Final = 0.1
_Item = TypeVar("_Item", str, bytes)


@dataclass(frozen=True, slots=True)
class ModelCheck:
    """What was seen."""

    model: str
    modality: str
    reference: str
    scores: dict[str, float]
    """Of the model and of the built-in ones beside it, best first."""
    explanation: str
    """Which gate cost what."""
    repeats: bool
    """Whether the same view gets the same answer."""
    withheld: int
    """Views that came back as no numbers."""
    asked: int
    views_per_s: float
    faults: tuple[str, ...]
    """Why a network would not hear it; empty when it would."""

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def check_model(
    model: str,
    reference: str | None,
    threads: int,
    on_anchors: Callable[[int, int], None] = lambda _, __: None,
    *,
    modality: str | None = None,
    aligned: Encoder | None = None,
    cache_dir: Path | None = None,
) -> ModelCheck:
    """Load, align and score a model, hardened rule, on ITEMS items it was not aligned on.

    `reference` and `modality` as in `load_encoder`. `on_anchors` is told (embedded, all) while it is aligned;
    `aligned` is the model if it is aligned already; with a `cache_dir` the maps of those beside it are kept
    there. Raises EncoderError.
    """
    modality = modality_of(model, modality, reference)
    reference = REFERENCES[modality] if reference is None else reference
    encoder = aligned or load_encoder(
        model, reference, modality=modality, threads=threads, on_anchors=on_anchors
    )
    batch = plan_batch(bytes(32), check_items(modality), (), 1, MODALITIES[modality])
    views = {(view.role, view.item): view.data for wave in batch.waves for view in wave}
    roles = (Role.FULL, Role.MASK, Role.INVERSE)
    asked: list[View] = [
        data.decode() if modality == TEXT.name else data
        for data in (views[role, item] for role in roles for item in range(ITEMS))
    ]
    began = perf_counter()
    rows = encoder.encode(asked)
    views_per_s = len(asked) / (perf_counter() - began)
    again = encoder.encode(asked[:8])
    repeats = bool(np.allclose(rows[:8], again, atol=1e-3, equal_nan=True))
    panel = PANEL_TEXT if modality == TEXT.name else encoder_names(modality)
    names = [model, *(name for name in panel if name != model)]
    others: list[Encoder] = [load_encoder(name, reference, cache_dir=cache_dir) for name in names[1:]]
    answers = [rows, *(other.encode(asked) for other in others)]
    share = np.array([shares[0] / PPM for shares in batch.mask_share_ppm], np.float32)
    score, explanation = _scores(answers, share)
    withheld = int((~np.isfinite(rows).all(axis=1)).sum())
    faults = []
    if not score[0] > 0:
        faults.append("its score is 0")
    if not repeats:
        faults.append("the same view gets another answer each time")
    if withheld > WITHHELD_MAX * len(asked):
        faults.append("it withholds over a tenth of its answers")
    ranked = dict(sorted(zip(names, score, strict=True), key=lambda pair: -pair[1]))
    return ModelCheck(
        model=model,
        modality=modality,
        reference=reference,
        scores=ranked,
        explanation=explanation,
        repeats=repeats,
        withheld=withheld,
        asked=len(asked),
        views_per_s=views_per_s,
        faults=tuple(faults),
    )


def check_items(modality: str) -> list[bytes]:
    """The items a model is scored on: they come with the dependencies, none of them among the anchors."""
    if modality == TEXT.name:
        return [canonical_text(text) for text in spread(load_challenge_pool(None), ITEMS)]
    from node.modalities import sample_items

    return sample_items(modality, count=ITEMS)


def spread(texts: Sequence[_Item], count: int) -> list[_Item]:
    """At most `count` of the texts, evenly from all of them: neighbours tell of one thing."""
    return list(texts[:: max(1, len(texts) // count)][:count])


def _scores(answers: Sequence[NDArray[np.float32]], share: NDArray[np.float32]) -> tuple[list[float], str]:
    """Scores of encoders whose rows are full views, masks and inverses, and the first one's in words."""
    import torch

    from scoring import score_shard

    rows = torch.from_numpy(np.stack(answers)).view(len(answers), 3, ITEMS, DIMENSIONS)
    full, mask, inverse = rows.unbind(1)
    scores = score_shard(full, mask[:, :, None], inverse[:, :, None], torch.from_numpy(share)[:, None])
    return [float(one) for one in scores.score], str(scores.explain(0))
