"""Filling a gallery from the store of a node: all that it knows certified, or a range of rounds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from node.epochs.history import ReadEpochs
from node.epochs.learnt_blobs import learnt_of
from node.gallery.backend import FilledItems
from node.gallery.entries import Added, Entry, Origin
from node.gallery.preview import preview_of_item
from node.report_items import items_of_report
from node.store import EmbeddingRecord, RoundState, Store
from protocol.epochs.learnt import LearntError
from protocol.epochs.record import NOTHING
from protocol.genesis import Genesis
from protocol.hashing import content_digest

OnRows = Callable[[int], None]
"""Told how many more are done."""


class StoreSpaces:
    """What a node's store knows of spaces."""

    def __init__(self, genesis: Genesis, store: Store) -> None:
        self._store = store
        self._epochs = ReadEpochs(genesis, store)

    def newest(self) -> int:
        """The newest epoch whose record is there. Raises StoreError."""
        return self._store.newest_epoch()

    def moments_digest(self, epoch: int) -> bytes | None:
        """Digest of the moments of an epoch's record; None where they are not kept. Raises StoreError."""
        known = self._epochs.by_record(epoch)
        if known is None:
            return None
        if known.record.moments == NOTHING:
            return content_digest(b"")
        return known.record.moments if self._store.blobs.has(known.record.moments) else None

    def moments(self, epoch: int) -> bytes | None:
        """The canonical moments of an epoch's record; None where they are not kept. Raises StoreError."""
        known = self._epochs.by_record(epoch)
        if known is None:
            return None
        try:
            return learnt_of(self._store, known.record).moments
        except LearntError:
            return None

    def centred(self, epochs: Iterable[int]) -> Mapping[int, bool]:
        """Which of the epochs' records had means; an unknown one is missing. Raises StoreError."""
        found = {epoch: self._epochs.by_record(epoch) for epoch in epochs}
        return {epoch: one.record.means != NOTHING for epoch, one in found.items() if one is not None}


def add_from_store(
    gallery: FilledItems,
    collection: str,
    store: Store,
    genesis: Genesis,
    *,
    from_round: int = 0,
    to_round: int | None = None,
    on_rows: OnRows | None = None,
) -> Added:
    """Add the embeddings of certified rounds [from_round, to_round) to a collection.

    What was added before is passed over. Each round is one transaction: interrupted, the next call goes on
    with the round after. Epochs and the newest space are remembered too. Raises GalleryError,
    GalleryStorageError, StoreError.
    """
    gallery.bind(genesis.network_id, genesis.parameters.modality)
    taken = gallery.taken_names(collection)
    added = Added()
    epochs: set[int] = set()
    for round_, count in store.embedding_rounds(from_round, to_round):
        name = round_name(round_, count)
        if name not in taken:
            records = list(store.embeddings(round_, round_ + 1))
            entries = _entries(store, genesis, records)
            epochs |= {one.epoch for one in entries if one.epoch is not None}
            part = gallery.add(collection, entries)
            if not part.left_out and len(entries) == count:
                gallery.take_whole(collection, name, count)
            added.add(part)
        if on_rows is not None:
            on_rows(count)
    learn_spaces(gallery, StoreSpaces(genesis, store), epochs)
    return added


def round_name(round_: int, count: int) -> str:
    """What a round is remembered by. With its count: a shard certified late makes it another one."""
    return f"round:{round_}:{count}"


def learn_spaces(gallery: FilledItems, spaces: StoreSpaces, epochs: Iterable[int]) -> None:
    """Remember what these epochs' vectors are centred on, and the newest space. Raises StoreError."""
    gallery.learn_epochs(spaces.centred(epochs))
    newest = spaces.newest()
    moments = spaces.moments(newest) if newest else None
    if moments is not None:
        gallery.learn_space(newest, moments)


def _entries(store: Store, genesis: Genesis, records: Sequence[EmbeddingRecord]) -> list[Entry]:
    """Of one round, whatever its shards; those of a shard that is not certified yet are left for later."""
    modality = genesis.parameters.modality
    entries = []
    for shard in sorted({record.shard for record in records}):
        row = store.round(records[0].round, shard)
        if row is None or row.state is not RoundState.CERTIFIED:
            continue
        contents = items_of_report(store, genesis, row)
        for one in records:
            if one.shard != shard:
                continue
            data = contents.get(one.item_id)
            if data is None:
                stored = store.item(one.item_id)
                data = None if stored is None else stored.content
            entries.append(
                Entry(
                    item_id=one.item_id,
                    origin=Origin.STORE,
                    source=row.dealer.hex() if row.dealer else "?",
                    round=one.round,
                    shard=one.shard,
                    epoch=one.space_epoch,
                    space=None,
                    preview=preview_of_item(modality, data),
                    vector=one.vector,
                )
            )
    return entries
