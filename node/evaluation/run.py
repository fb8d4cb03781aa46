"""Ask a model everything an exam holds, and make a row of its answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from node.encoders.answers import checked_rows
from node.evaluation.errors import EvaluationError
from node.evaluation.exam import Exam, Rows, figures_of, full_figures
from node.evaluation.map import map_of
from node.evaluation.metrics.rows import directions
from node.evaluation.models import Contestant
from node.evaluation.row_store import Row, RowStore

_ANSWERED_MIN: Final = 2

OnViews = Callable[[int], None]
"""Told how many views more are answered."""


def question_of(exam: Exam) -> bytes:
    """Names what is asked: rows of one question can be compared."""
    return exam.data.digest() + exam.seed.to_bytes(8, "big")


def row_of(contestant: Contestant, exam: Exam, store: RowStore | None, on_views: OnViews) -> Row:
    """The model's row, from the store where it is kept. Raises EncoderError, EvaluationError, OSError."""
    key = contestant.key(exam.views)
    row = None if store is None else store.get(key)
    if row is not None:
        on_views(len(exam.views))
        return row
    rows = _answers(contestant, exam, on_views)
    _check_answered(contestant.name, rows[exam.full])
    row = Row(
        contestant.name,
        contestant.space.value,
        rows.shape[1],
        figures_of(exam, rows),
        len(rows),
        int((~np.isfinite(rows).all(1)).sum()),
        map_of(rows[exam.full]),
    )
    if store is not None:
        store.put(key, row)
    return row


def row_of_vectors(name: str, space: str, full: Rows, exam: Exam) -> Row:
    """The row of somebody of whom only answers to full items are known, [n, d]. Raises EvaluationError."""
    _check_answered(name, full)
    withheld = int((~np.isfinite(full).all(1)).sum())
    return Row(name, space, full.shape[1], full_figures(exam, full), len(full), withheld, map_of(full))


def _check_answered(name: str, full: Rows) -> None:
    answered = int(directions(full).answered.sum())
    if answered < _ANSWERED_MIN:
        raise EvaluationError(
            f"{name} has a direction for {answered} of {len(full)} items: there is nothing to measure; "
            "`deltamesh models check` tells more of a model"
        )


def _answers(contestant: Contestant, exam: Exam, on_views: OnViews) -> Rows:
    parts: list[Rows] = []
    for start in range(0, len(exam.views), contestant.views_at_once):
        views = exam.views[start : start + contestant.views_at_once]
        width = parts[0].shape[1] if parts else None
        parts.append(checked_rows(contestant.embed(views), len(views), contestant.name, width))
        on_views(len(views))
    return np.concatenate(parts)
