"""Networks of images, sound, series, bytes: real nodes, three different encoders each, certified rounds."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from node.encoders.built_in import encoder_names
from tests.support.certified_testnet import assert_each_has_weight, certified
from tests.support.cli import deltamesh

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.mark.parametrize("modality", ["image", "audio", "series", "bytes"])
def test_network_of_three_encoders__certifies_rounds_in_which_each_has_weight(
    tmp_path: Path, modality: str
) -> None:
    models = list(encoder_names(modality))
    assert len(models) == 3
    summary = certified(tmp_path, models, 2, "--modality", modality)
    assert_each_has_weight(summary, models)
    file, home = tmp_path / "embeddings.parquet", tmp_path / "net" / "validator-1"
    ended = deltamesh("embeddings", "export", "--to", file, "--home", home, "--space", "raw")
    assert ended.code == 0, ended.err
    table = pq.read_table(file)
    # An item whose answers lie apart in too many encoders has no consensus.
    assert table.num_rows >= 48 * summary["rounds_certified"]
    assert set(table.column("text").to_pylist()) == {None}
