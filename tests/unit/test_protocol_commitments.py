"""Commitments: each binds everything it names."""

from __future__ import annotations

import json
from functools import partial
from operator import ne
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.commitments import CommitmentError, commitment

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "commitments.json").read_text())
BYTES32 = st.binary(min_size=32, max_size=32)
COUNTS = st.integers(0, (1 << 64) - 1)
PLACE: dict[str, Any] = {"network": b"n" * 32, "encoder": b"e" * 32, "epoch": 1, "round": 2, "shard": 3}


def test_commitment__matches_the_vectors() -> None:
    for row in VECTORS:
        data: dict[str, Any] = {
            name: bytes.fromhex(value) if isinstance(value, str) else value for name, value in row.items()
        }
        expected = data.pop("commitment")
        assert commitment(data.pop("salt"), data.pop("answers"), **data) == expected


@given(
    named=st.fixed_dictionaries(
        {
            "salt": BYTES32,
            "answers": st.binary(max_size=50),
            "network": BYTES32,
            "encoder": BYTES32,
            "epoch": COUNTS,
            "round": COUNTS,
            "shard": COUNTS,
            "wave": COUNTS,
            "lock": BYTES32,
        }
    ),
    data=st.data(),
)
def test_commitment__changes_with_everything_it_binds(named: dict[str, Any], data: st.DataObject) -> None:
    base = commitment(**named)
    assert base == commitment(**{**named, "answers": memoryview(named["answers"])})
    for name, value in named.items():
        kinds = (
            st.binary(max_size=50) if name == "answers" else BYTES32 if isinstance(value, bytes) else COUNTS
        )
        other = data.draw(kinds.filter(partial(ne, value)), label=name)
        assert commitment(**{**named, name: other}) != base


@pytest.mark.parametrize("name", ["salt", "network", "encoder", "lock"])
def test_commitment__refuses_parts_that_are_not_32_bytes(name: str) -> None:
    named = {"salt": bytes(32), "answers": b"", "wave": 1, "lock": bytes(32), **PLACE}
    with pytest.raises(CommitmentError, match=f"the {name} of a commitment has 32 bytes, not 31"):
        commitment(**{**named, name: bytes(31)})
