"""docs/gallery.md tells the bounds of the code."""

from __future__ import annotations

import re

from node.gallery import index, limits, probes
from node.gallery.export_parquet import GROUP_ROWS_MAX
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
