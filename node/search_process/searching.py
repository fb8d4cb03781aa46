"""Answers of the search: a request as a query of the gallery, refused in words for who asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import numpy as np
import numpy.typing as npt

from node.encoders.encoder import DIMENSIONS, View
from node.gallery import (
    Answer,
    GalleryError,
    LocalModel,
    MixedSpacesError,
    ProbeError,
    Query,
    Selection,
    Term,
    query,
)
from node.gallery.errors import NothingSelectedError
from node.gallery.probes import ITEM_PREFIX
from node.gallery.signs import SIGNS_ROWS_MIN
from node.search_process.errors import SearchRefusedError
from node.search_process.following import Following
from node.search_process.wire import Find, Found, Hit, Reason
from node.space import NEWEST, SpaceError
from node.store import Store
from protocol.epochs.learnt import LearntError
from protocol.genesis import Genesis
from protocol.items import ItemError, canonical_text, item_id
from protocol.modalities import TEXT

PREVIEW_CHARACTERS: Final = 280
_ANY_VECTOR: Final = np.ones(DIMENSIONS, "<f4").tobytes()


class Searcher:
    """Finds the nearest items. A text that is no item is embedded by the network's reference encoder."""

    def __init__(self, following: Following, store: Store, genesis: Genesis, load: Callable[[], LocalModel]):
        self._following = following
        self._store = store
        self._genesis = genesis
        self._load = load
        self._model: RememberingModel | None = None

    def find(self, asked: Find) -> Found:
        """The k items nearest to the probe. Raises SearchRefusedError, GalleryStorageError, EncoderError."""
        terms = self._terms(asked)
        selection = Selection(
            from_round=asked.from_round, to_round=asked.to_round, source=asked.source or None
        )
        wanted = Query(
            terms,
            k=asked.k,
            selection=selection,
            space=asked.space,
            # Who searches for a text wants to see that it is there; who searches by an item knows it is.
            with_probe=asked.item_id is None,
            vector=asked.vector,
        )
        try:
            answer = query(
                self._following.gallery,
                wanted,
                load=self._loaded,
                node=self._following.spaces,
                cache=self._following.cache,
                # An index takes minutes to build, during which nobody could search: see ADR 0024.
                signs_rows_min=SIGNS_ROWS_MIN,
            )
        except NothingSelectedError:
            return Found(None, "exact", None, 0, False, None, ())
        except (SpaceError, LearntError) as error:
            raise no_such_space(self._following, asked.space) from error
        except MixedSpacesError as error:
            raise mixed(asked.space) from error
        except ProbeError as error:
            raise SearchRefusedError(
                f"what is searched for has no place in space '{asked.space}': search by an item, or in "
                "another space",
                Reason.INVALID,
            ) from error
        except GalleryError as error:
            raise SearchRefusedError(str(error), Reason.INVALID) from error
        return self._found(answer)

    def warm(self) -> None:
        """Place what is new in the newest space, so that no search has to. Raises GalleryStorageError."""
        with suppress(SearchRefusedError):
            self.find(Find(1, NEWEST, vector=_ANY_VECTOR))

    def _terms(self, asked: Find) -> tuple[Term, ...]:
        if asked.item_id is not None:
            if not self._following.knows(asked.item_id):
                raise unknown_item(asked.item_id)
            return (Term(f"{ITEM_PREFIX}{asked.item_id.hex()}"),)
        if asked.text is None:
            return ()
        if self._genesis.modality is not TEXT:
            raise SearchRefusedError(
                f"this network embeds {self._genesis.parameters.modality}, not text: search by item_id or "
                "vector",
                Reason.INVALID,
            )
        try:
            self._following.knows(item_id(canonical_text(asked.text)))
        except ItemError as error:
            raise SearchRefusedError(f"the text cannot be embedded: {error}", Reason.INVALID) from None
        return (Term(asked.text),)

    def _loaded(self) -> LocalModel:
        if self._model is None:
            self._model = RememberingModel(self._load())
        return self._model

    def _found(self, answer: Answer) -> Found:
        certificates: dict[tuple[int, int], bytes | None] = {}
        for one in answer.neighbours:
            at = (one.item.round, one.item.shard)
            if at not in certificates:
                row = self._store.round(*at)
                certificates[at] = None if row is None else row.report_digest
        models = answer.probe.models
        return Found(
            space=answer.space,
            method=answer.method.value,
            recall=answer.recall,
            searched=answer.searched,
            is_consensus=answer.is_consensus,
            model=models[0] if models else None,
            hits=tuple(
                Hit(
                    item_id=one.item.item_id,
                    score=one.score,
                    preview=shortened(one.item.preview, PREVIEW_CHARACTERS),
                    round=one.item.round,
                    shard=one.item.shard,
                    source=one.item.source,
                    certificate=certificates[one.item.round, one.item.shard],
                )
                for one in answer.neighbours
            ),
        )


class RememberingModel:
    """A model that remembers its last sample's answers: every text is centred on the same few hundred."""

    def __init__(self, model: LocalModel) -> None:
        self._model = model
        self._last: tuple[tuple[View, ...], npt.NDArray[np.float32]] | None = None

    @property
    def name(self) -> str:
        """The name it is loaded by."""
        return self._model.name

    def encode(self, views: Sequence[View]) -> npt.NDArray[np.float32]:
        """[n, D] float32 at unit norm."""
        if len(views) == 1:
            return self._model.encode(views)
        asked = tuple(views)
        if self._last is None or self._last[0] != asked:
            self._last = (asked, self._model.encode(views))
        return self._last[1].copy()


def unknown_item(item_id: bytes) -> SearchRefusedError:
    """Nothing to search by."""
    return SearchRefusedError(
        f"item {item_id.hex()[:16]} is not among those this node searches, the newest certified ones: if GET "
        "/v1/items has its embedding, search by that vector",
        Reason.UNKNOWN_ITEM,
    )


def no_such_space(following: Following, space: str) -> SearchRefusedError:
    """No transform by that name."""
    known = ", ".join(map(str, following.gallery.spaces())) or "none"
    return SearchRefusedError(
        f"space '{space[:40]}' cannot be searched here, its transform is not kept (kept: {known}): say "
        "'newest', 'raw' or the number of one that is",
        Reason.UNKNOWN_SPACE,
    )


def mixed(space: str) -> SearchRefusedError:
    """No transform brings all vectors into that space."""
    return SearchRefusedError(
        f"not all vectors can be brought into space '{space[:40]}', those of early epochs are centred "
        "differently: say 'newest', or choose rounds by the filters",
        Reason.MIXED_SPACES,
    )


def shortened(text: str, characters: int) -> str:
    """The beginning of a text, with an ellipsis where something is left out."""
    return text if len(text) <= characters else text[: characters - 1] + "…"
