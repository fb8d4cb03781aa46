"""docs/gallery.md tells the bounds of the code."""

from __future__ import annotations

import re

from node.api.models.search import NEIGHBOURS_MAX
from node.gallery import index, limits, probes, signs
from node.gallery.export_parquet import GROUP_ROWS_MAX
from node.search_process import client
from tests.support.documents import read

PAGE = re.sub(r"\s+", " ", read("docs/gallery.md"))


def test_bounds__are_those_of_the_code() -> None:
    for told in (
        f"{limits.COLLECTION_ITEMS_MAX:,} items (`--items-max`)",
        f"{limits.SOURCE_ITEMS_MAX:,} of one source (`--source-items-max`)",
        f"the first {limits.PREVIEW_CHARACTERS:,} characters",
        f"the moments of the last {limits.SPACES_KEPT} epochs",
        f"Up to {limits.INDEX_ROWS_MIN:,} vectors every cosine is computed",
        f"the sum of its items, {limits.TERMS_MAX} at most",
        f"the model's mean over {probes.MEAN_VIEWS} texts",
        f"row groups of up to {GROUP_ROWS_MAX:,} rows",
        f"read up to {limits.EXPORT_LINE_BYTES_MAX >> 10} KiB each",
        f"recalls at least {index.RECALL_MIN:.0%}".replace("%", " %")
        + f" of the ten nearest of {index.RECALL_PROBES} stored vectors",
    ):
        assert told in PAGE, told
    assert (index.RECALL_AT, index.SURPLUS, limits.CACHED_SPACES) == (10, 3, 2)
    assert "three times as many candidates" in PAGE
    assert "for the two spaces used last" in PAGE
    assert "grown by up to half, built anew" in PAGE
    assert index.GROWTH_MAX == 0.5


def test_search_of_a_validator__is_told_as_it_is() -> None:
    assert f"| `k` | 10, up to {NEIGHBOURS_MAX} |" in PAGE
    least = f"{signs.RECALL_MIN:.0%}".replace("%", " %")
    assert f"Beyond {signs.SIGNS_ROWS_MIN:,} vectors whose signs recall at least {least}" in PAGE
    assert (client.WAITING_MAX, client.REST_S) == (16, 600)
    assert "Sixteen searches are under way or wait" in PAGE
    assert "after ten minutes without a search it ends" in PAGE
    decided = re.sub(r"\s+", " ", read("docs/adr/0024-storage-that-grows.md"))
    assert f"Up to {signs.SIGNS_ROWS_MIN:,} are searched exactly" in decided
    assert signs.SURPLUSES == (5, 10, 30, 100)
