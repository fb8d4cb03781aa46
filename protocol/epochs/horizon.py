"""How far back the records of epochs reach: what evidence is about, and how long the convicted are named.

Records themselves stay, since the chain proves itself; the encoders' tables are what grows.
"""

from __future__ import annotations

from protocol.genesis import Genesis

EVIDENCE_EPOCHS = 8
"""Evidence convicts while the epoch it is about is at most so far behind the newest.

Who is a member of an epoch stands in its encoders' table, so validators keep at least as many tables: else
some could check a proposed record that others cannot.
"""
CONVICTED_EPOCHS = 16
"""Records that name a convicted key, after which it is worth no more than any other.

Then no evidence of before can be turned against it any more, and it has to show a proof of work again. With
EVIDENCE_MAX convictions a record they fill at most a quarter of an encoders' table.
"""


def is_forgotten(genesis: Genesis, key: bytes, epochs_since: int) -> bool:
    """Whether a convicted encoder leaves the table so many epochs after its conviction.

    A key that genesis holds stake for never does: it could come back by that stake, without work.
    """
    return epochs_since >= CONVICTED_EPOCHS and key not in genesis.bonds and key not in genesis.encoders
