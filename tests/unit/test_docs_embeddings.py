"""What the page says about asking for embeddings is what the code does."""

from __future__ import annotations

import re

from node.api.embedding import limits
from node.api.models.embeddings import EmbeddingRequest
from node.store import StoreLimits
from protocol.items import TEXT_BYTES_MAX
from protocol.report import DIMENSIONS
from tests.support.documents import ROOT, read

PAGE = read("docs/use-the-api.md")
ASKING = re.search(r"^## Ask for embeddings\n(.*?)(?=^## Expose|^## Read|\Z)", PAGE, re.DOTALL | re.MULTILINE)


def asking() -> str:
    assert ASKING is not None
    return " ".join(ASKING[1].split())


def test_fields__of_the_page_are_those_of_the_request() -> None:
    assert ASKING is not None
    fields, _, _ = ASKING[1].partition("Texts are made canonical")
    assert set(re.findall(r"^\| `(\w+)` \|", fields, re.MULTILINE)) == set(EmbeddingRequest.model_fields)


def test_error_codes__of_the_page_are_those_of_the_code() -> None:
    code = "".join(
        path.read_text()
        for path in [
            *(ROOT / "node/api/embedding").glob("*.py"),
            *(ROOT / "node/api/routes" / f"{name}.py" for name in ("embeddings", "jobs", "models")),
        ]
    )
    assert ASKING is not None
    _, _, errors = ASKING[1].partition("| status | code |")
    told = {
        name for row in re.findall(r"^\| \d+ \| ([^|]*) \|", errors, re.MULTILINE) for name in code_in(row)
    }
    assert told == set(re.findall(r'code="(\w+)"', code))


def code_in(cell: str) -> list[str]:
    return re.findall(r"`(\w+)`", cell)


def test_bounds__are_those_of_the_code() -> None:
    queue = StoreLimits()
    for told in (
        f"1 to {limits.INPUTS_MAX:,} of them",
        f"at most {limits.FILES_MAX} files",
        f"{limits.FILE_BYTES_MAX / 1e6:g} MB of files; each must make one item",
        f"At most {TEXT_BYTES_MAX:,} bytes",
        f"| {DIMENSIONS} or nothing",
        f"waits for {limits.WAIT_SLOTS} slots, at least {limits.WAIT_MS_MIN // 1000} s and at most "
        f"{limits.WAIT_MS_MAX // 1000} s",
        f"keeps {limits.JOBS_MAX:,} jobs for a day",
        f"{limits.WAITING_MAX} requests wait, of one client {queue.pending_items_per_client_max:,} "
        f"({queue.pending_bytes_per_client_max >> 20} MiB) and {limits.WAITING_PER_CLIENT_MAX}",
        f"{queue.pending_items_max:,} items ({queue.pending_bytes_max >> 20} MiB) may be queued",
    ):
        assert told in asking()
