"""A client that verifies one item at a server that lies about it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest

from node.certified import Check
from node.client import Cache, Client, ClientError, VerificationFailed, VerifiedItem, verification
from protocol.items import item_id
from tests.support.told_by_api import Lie, ToldByApi, world

ITEM = item_id(world().text.encode())
BATCH = world().batches[-1]
POSITION = 3


@pytest.fixture(scope="module")
def shaped_once() -> Iterator[None]:
    """The same moments have the same transform: their eigenvectors are looked for once, not every time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verification, "_shaping", cache(verification._shaping))
        yield


def client_of(told: ToldByApi, folder: Path | Cache = Cache.NONE) -> Client:
    return Client(
        "http://validator.test",
        network_id=world().network_id,
        cache=folder,
        transport=httpx.MockTransport(told),
    )


def verified(lie: Lie, space: str = "newest") -> VerifiedItem:
    """What a client makes of a server that lies."""
    with client_of(ToldByApi(lie=lie)) as client:
        return client.verify_item(ITEM, space=space)


def refusal(lie: Lie, space: str = "newest") -> Check:
    """Which check a lie fails."""
    with pytest.raises(VerificationFailed) as failed:
        verified(lie, space)
    assert len(failed.value.reason) > 10
    return failed.value.check


def only_truth(lie: Lie, space: str = "newest") -> None:
    """Fail unless a lie is refused in a sentence, or changes nothing of what is believed."""
    try:
        found = verified(lie, space)
    except (VerificationFailed, ClientError):
        return
    assert found.raw.tobytes() == BATCH.vectors[POSITION].tobytes()
    assert (found.report, found.at, found.position) == (BATCH.header.digest, BATCH.header.body.at, POSITION)
    assert (found.item_id, found.network_id) == (ITEM, world().network_id)
    assert found.dealer == BATCH.header.signer
    assert found.stake >= 267


def at(end: str, change: Any) -> Lie:
    """A lie about the paths with that end."""
    return lambda path, answer: change(answer) if path.endswith(end) else answer
