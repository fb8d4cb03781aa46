"""The search process's work: one request, one response, whatever happens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from node.encoders.encoder import EncoderError
from node.gallery import GalleryStorageError, LocalModel
from node.gallery.errors import DamagedGalleryError
from node.search_process.errors import SearchRefusedError
from node.search_process.following import Following
from node.search_process.mapping import Mapper
from node.search_process.searching import Searcher
from node.search_process.wire import (
    Find,
    Follow,
    Projection,
    Refused,
    Request,
    Response,
    SearchSetup,
)
from node.store import Store, StoreError
from node.store.database import Access
from protocol.genesis import Genesis

FIRST_FOLLOW_S = 1.0
"""An empty search takes in what it can for so long before it answers its first question."""


class SearchDesk:
    """Follows the store of a node, searches and maps what is there. For one thread."""

    def __init__(self, setup: SearchSetup, load: Callable[[], LocalModel] | None = None) -> None:
        """Open the store and the search's own file. Raises StoreError, GalleryStorageError."""
        genesis = Genesis.from_bytes(setup.genesis)
        self._store = Store.open(Path(setup.store), Path(setup.blobs), access=Access.READ_ONLY)
        try:
            self._following = Following(self._store, genesis, Path(setup.gallery), setup.items_max)
        except BaseException:
            self._store.close()
            raise
        reference = load or (lambda: _reference(genesis, Path(setup.alignment)))
        self._searcher = Searcher(self._following, self._store, genesis, reference)
        self._mapper = Mapper(self._following)

    def close(self) -> None:
        """Close its files."""
        self._following.close()
        self._store.close()

    def answer(self, request: Request) -> Response:
        """The response to a request; a damaged file is filled anew first."""
        try:
            try:
                return self._answered(request)
            except DamagedGalleryError:
                self._following.begin_anew()
                return self._answered(request)
        except SearchRefusedError as error:
            return Response(refused=Refused(error.reason, str(error)))
        except (GalleryStorageError, StoreError, EncoderError) as error:
            return Response(error=str(error))

    def _answered(self, request: Request) -> Response:
        if isinstance(request, Follow):
            told = self._following.follow(request.within_s)
            if not told.left:
                self._searcher.warm()
            return Response(followed=told)
        if not self._following.gallery.newest_rows(1).size:
            self._following.follow(FIRST_FOLLOW_S)
        if isinstance(request, Find):
            return Response(found=self._searcher.find(request))
        assert isinstance(request, Projection)
        return Response(drawn=self._mapper.draw(request))


def _reference(genesis: Genesis, alignment: Path) -> LocalModel:
    from node.encoders import load_encoder

    chosen = genesis.parameters
    return load_encoder(
        chosen.reference_encoder, chosen.reference_encoder, modality=chosen.modality, cache_dir=alignment
    )
