"""A report downloaded over HTTP is checked offline, from the network id alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.bundle import decode_bundle
from node.store import Store
from node.verify import Check, verify_bundle
from protocol.codec import encode
from protocol.items import item_id
from protocol.rounds import effects as fx
from tests.support.api import api_over
from tests.support.certified_history import History
from tests.support.certified_round import certified_round


@pytest.mark.slow
def test_bundle__downloaded_passes_every_check(tmp_path: Path) -> None:
    honest = certified_round()
    at, items = honest.header.body.at, honest.task.batch.items
    fact = fx.RoundCertified(at, honest.header, honest.certificate, honest.body, items)
    history = History(
        honest.genesis, list(honest.validators.values()), list(honest.encoders.values()), (fact,)
    )
    with api_over(tmp_path, history) as api:
        directory = api.app.state.service.directory  # type: ignore[attr-defined]
        with Store.open(directory.store, directory.blobs) as store:
            store.put_blob(encode(honest.body), 0, fx.Purpose.REPORT)
            for data in honest.blobs.values():
                store.put_blob(data, 0, fx.Purpose.REVEAL)
        name = item_id(items[0]).hex()
        certificate = api.get(f"/v1/items/{name}?embedding=none").json()["certificate"]
        downloaded = api.get(f"/v1/reports/{certificate}/bundle").content
        assert downloaded == encode(honest.bundle)
        verified = verify_bundle(decode_bundle(downloaded), honest.genesis.network_id)
        assert verified.steps[-1].check is Check.NUMBERS
        assert verified.report.hex() == certificate
