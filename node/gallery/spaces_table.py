"""What a gallery knows of its network's spaces, so that it can be searched where there is no node."""

from __future__ import annotations

from collections.abc import Mapping

from node.gallery.errors import DamagedGalleryError
from node.gallery.items_table import Items
from node.gallery.limits import SPACES_KEPT
from protocol.hashing import content_digest


class Spaces(Items):
    """Of every epoch whether it centred its answers, and of the newest ones the moments of the consensus."""

    def learn_epochs(self, centred: Mapping[int, bool]) -> None:
        """Remember which epochs' records had means: vectors of their rounds are centred."""
        with self._transaction() as database:
            database.executemany(
                "INSERT OR IGNORE INTO epochs VALUES (?, ?)",
                [(epoch, int(here)) for epoch, here in sorted(centred.items())],
            )

    def learn_space(self, epoch: int, moments: bytes) -> None:
        """Remember an epoch's canonical ConsensusMoments; the newest SPACES_KEPT stay."""
        with self._transaction() as database:
            database.execute(
                "INSERT OR IGNORE INTO spaces VALUES (?, ?, ?)", (epoch, content_digest(moments), moments)
            )
            database.execute(
                "DELETE FROM spaces WHERE epoch NOT IN "
                "(SELECT epoch FROM spaces ORDER BY epoch DESC LIMIT ?)",
                (SPACES_KEPT,),
            )

    def centred_epochs(self) -> dict[int, bool]:
        """What is known of each epoch. Nothing is learnt before epoch 2, in any network."""
        known = {epoch: bool(centred) for epoch, centred in self._all("SELECT epoch, centred FROM epochs")}
        return known | {0: False, 1: False}

    def spaces(self) -> list[int]:
        """The epochs whose moments are here, newest first."""
        return [row[0] for row in self._all("SELECT epoch FROM spaces ORDER BY epoch DESC")]

    def moments_digest(self, epoch: int) -> bytes | None:
        """The content digest of an epoch's canonical moments; None where they are not here."""
        row = self._one("SELECT digest FROM spaces WHERE epoch = ?", (epoch,))
        return None if row is None else bytes(row[0])

    def moments(self, epoch: int) -> bytes | None:
        """The canonical moments of an epoch. Raises GalleryStorageError when they are damaged."""
        row = self._one("SELECT digest, moments FROM spaces WHERE epoch = ?", (epoch,))
        if row is None:
            return None
        if content_digest(row[1]) != row[0]:
            raise DamagedGalleryError(
                f"the gallery {self.path} is damaged (the moments of epoch {epoch}): move it away and add "
                "its "
                "items again"
            )
        return bytes(row[1])


class Gallery(Spaces):
    """Items with their raw consensus embeddings, in collections. Every method is safe from any thread."""
