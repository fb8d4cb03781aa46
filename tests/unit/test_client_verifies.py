"""Verification at the client: what is certified passes, and no lie of the validator asked does."""

from __future__ import annotations

from pathlib import Path

import httpx
import numpy as np

from node.certified import ITEM_CHECKS, CheckStep
from node.client import Cache, Client
from protocol.items import item_id
from tests.support.told_by_api import ToldByApi, world


def client_of(told: ToldByApi, cache: Path | Cache = Cache.NONE) -> Client:
    return Client(
        "http://validator.test",
        network_id=world().network_id,
        cache=cache,
        transport=httpx.MockTransport(told),
    )


def test_certified_embedding__passes_every_check_in_order() -> None:
    told, steps = ToldByApi(), list[CheckStep]()
    with client_of(told) as client:
        found = client.verify_item(item_id(world().text.encode()), on_step=steps.append)
    assert [step.check for step in steps] == list(ITEM_CHECKS)
    batch = world().batches[-1]
    assert (found.report, found.at, found.position) == (batch.header.digest, batch.header.body.at, 3)
    assert found.raw.tobytes() == batch.vectors[3].tobytes()
    assert (found.stake, found.total_stake, found.space_epoch) == (400, 400, 3)
    assert found.difference is not None
    assert found.difference < 1e-6


def test_embedded_texts__are_verified_one_by_one() -> None:
    texts = [item.decode() for batch in world().batches for item in batch.items[:2]]
    with client_of(ToldByApi()) as client:
        found = client.embed(texts, verify=True)
    assert found.vectors.shape == (4, 1024)
    assert [one.item_id for one in found.verified] == [item_id(text.encode()) for text in texts]
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, atol=1e-5)
