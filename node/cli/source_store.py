"""Reading a node's own data directory, beside the running node."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from node.cli.dispute_view import DisputeDetail, disputes_of
from node.cli.errors import CommandError, ExitCode
from node.cli.options import genesis_of, reading_store
from node.cli.round_view import RoundDetail, RoundSummary, certificate_of, detail, header_of, summary_of
from node.cli.told_bar import told_bar
from node.epochs.history import ReadEpochs, chain_to, no_encoders
from node.store import RoundRecord, ScoreRecord, Store
from protocol.epochs.view import Epoch

if TYPE_CHECKING:
    from config.datadir import DataDir
    from protocol.genesis import Genesis


@contextmanager
def opened_store(directory: DataDir) -> Iterator[StoreSource]:
    """The source over a data directory. Raises StoreError."""
    with reading_store(directory) as store:
        yield StoreSource(directory, store)


class StoreSource:
    """What the node itself has written down."""

    def __init__(self, directory: DataDir, store: Store | None) -> None:
        self._directory = directory
        self._store = store
        """None: it has never run."""

    def genesis(self) -> Genesis:
        """That of the directory."""
        return genesis_of(self._directory)

    def rounds(self, last: int) -> Sequence[RoundSummary]:
        """The shards of the newest rounds."""
        return [summary_of(record) for record in self._store.rounds(last)] if self._store else []

    def round(self, number: int) -> Sequence[RoundDetail]:
        """All shards of a round."""
        genesis = self.genesis()
        store, records = self._shards(number)
        return [detail(store, genesis, record) for record in records]

    def disputes(self, number: int) -> Sequence[DisputeDetail]:
        """The disputes of a round."""
        found = disputes_of(self._store, self.genesis(), number) if self._store else []
        if not found:
            self._shards(number)
        return found

    def scores(self, last: int) -> Sequence[ScoreRecord]:
        """Of the newest scored rounds."""
        return self._store.scores(last) if self._store else []

    def epochs(self, last: int) -> Sequence[Epoch]:
        """The newest epochs."""
        genesis = self.genesis()
        if self._store is None:
            return [Epoch.first(genesis)]
        known, newest = ReadEpochs(genesis, self._store), self._store.newest_epoch()
        found = [known.by_record(one) for one in range(max(0, newest - last + 1), newest + 1)]
        return [epoch for epoch in found if epoch is not None]

    def epoch(self, number: int) -> Epoch:
        """One epoch with its encoders."""
        genesis = self.genesis()
        if self._store is None:
            found, newest = Epoch.first(genesis) if number == 0 else None, 0
        else:
            known, newest = ReadEpochs(genesis, self._store), self._store.newest_epoch()
            found = known.find(number)
            if found is None and known.by_record(number) is not None:
                raise CommandError(no_encoders(self._store, number), ExitCode.STORAGE)
        if found is None:
            raise CommandError(
                f"the record of epoch {number} is not known here, the newest is {newest}: `deltamesh epochs` "
                "lists them; an encoder keeps none, ask a validator",
                ExitCode.BAD_INPUT,
            )
        return found

    def export(self, number: int, shard: int, to: Path) -> int:
        """Gather the report and its answers, and write them."""
        from node.bundle import make_bundle, write_bundle

        genesis = self.genesis()
        store, records = self._shards(number)
        record = next((one for one in records if one.shard == shard), None)
        if record is None:
            raise CommandError(
                f"round {number} has no shard {shard} here: see `rounds show`", ExitCode.BAD_INPUT
            )
        header, certificate = header_of(record, genesis), certificate_of(record)
        if header is None or certificate is None:
            raise CommandError(
                f"round {number} shard {shard} is {record.state.value}, and only certified ones are "
                "exported: `deltamesh rounds` lists them",
                ExitCode.NODE_STATE,
            )
        body = store.blobs.get(header.body.body)
        if body is None:
            raise CommandError(
                f"the body of round {number}'s report is not held here: export it from another validator",
                ExitCode.STORAGE,
            )
        epochs, encoders, means = chain_to(store, record.epoch)
        bundle = make_bundle(genesis, epochs, encoders, means, header, body, certificate, store.blobs.get)
        with told_bar("writing") as told:
            return write_bundle(to, bundle, told)

    def _shards(self, number: int) -> tuple[Store, list[RoundRecord]]:
        store = self._store
        found = [] if store is None else store.rounds(1, before=number + 1)
        found = [one for one in found if one.round == number]
        if store is None or not found:
            raise CommandError(
                f"this node knows nothing of round {number}: `deltamesh rounds` lists what it knows",
                ExitCode.BAD_INPUT,
            )
        return store, found
