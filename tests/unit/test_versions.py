"""What an installation says of its versions is what its code has, and the command stays quick."""

from __future__ import annotations

import subprocess
import sys

from node import bundle
from node.gallery import schema as gallery_schema
from node.network import requests
from node.pairs import pairs
from node.signer import ledger
from node.store import schema as store_schema
from node.versions import SCHEMAS, versions
from protocol.statement import VERSION
from tests.support.cli import ROOT, deltamesh


def test_schemas__are_those_of_the_code() -> None:
    assert {
        "store": len(store_schema.MIGRATIONS),
        "signer": len(ledger.MIGRATIONS),
        "gallery": len(gallery_schema.MIGRATIONS),
        "pairs": len(pairs.MIGRATIONS),
        "bundle": bundle.VERSION,
    } == SCHEMAS


def test_protocol__is_the_one_negotiated_and_signed() -> None:
    told = versions()
    assert told.rpc == requests.PROTOCOL
    assert told.wire == VERSION


def test_version_command__tells_all_of_it_as_json() -> None:
    assert deltamesh("version", "--json").json == versions().document()
    shown = deltamesh("version").out
    for name, number in SCHEMAS.items():
        assert f"{name} {number}" in shown


def test_asking_for_versions__imports_neither_torch_nor_libp2p() -> None:
    code = "import sys; from node.versions import versions; versions(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"torch", "libp2p", "numpy"} & set(done.stdout.split())
