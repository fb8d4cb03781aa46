"""On a GPU: a task from bytes to scores, in and out of the scoring process, and the memory it takes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import trio

from node.scoring_task import compare_task, score_task
from node.scoring_worker import open_scoring_worker
from node.store import DiskBlobs
from scoring import local_outlier_factor, score_shard
from tests.support.certified_round import CertifiedRound, certified_round

pytestmark = pytest.mark.gpu

EXTRA_BYTES_MAX = 300 << 20
TOLERANCE_PPM = 100
"""A tenth of what validators grant each other."""


@pytest.fixture(scope="module")
def round_() -> CertifiedRound:
    return certified_round()


def test_score_task__of_a_gpu_is_attested_by_a_cpu_and_the_other_way_round(round_: CertifiedRound) -> None:
    for dealer, attester in (("cpu", "cuda"), ("cuda", "cpu")):
        claimed = score_task(round_.task, round_.blobs.get, device=dealer)
        found = compare_task(round_.task, round_.blobs.get, claimed, device=attester)
        worst = max(found, key=lambda one: one.difference_ppm)
        assert worst.difference_ppm <= TOLERANCE_PPM, worst.term


@pytest.mark.anyio
async def test_worker__scores_on_a_gpu(round_: CertifiedRound, tmp_path: Path) -> None:
    disk = DiskBlobs(tmp_path, 1 << 30)
    for data in round_.blobs.values():
        disk.put(data)
    with trio.fail_after(90):
        async with open_scoring_worker(tmp_path, device="cuda", threads=1, slab_bytes_max=1 << 30) as worker:
            scored = await worker.score(round_.task)
            assert max(one.difference_ppm for one in await worker.compare(round_.task, scored)) == 0
    found = compare_task(round_.task, round_.blobs.get, scored)
    assert max(one.difference_ppm for one in found) <= TOLERANCE_PPM


def slab_of(encoders: int, items: int, roles: int, near: bool) -> torch.Tensor:
    draw = torch.Generator("cuda").manual_seed(1)
    rows = torch.randn(encoders, items, roles, 1024, device="cuda", generator=draw)
    rows *= 1e-6 if near else 1.0
    rows += torch.randn(1, items, roles, 1024, device="cuda", generator=draw)
    return torch.nn.functional.normalize(rows, dim=-1)


@pytest.mark.parametrize("near", [False, True])
@pytest.mark.parametrize(("encoders", "items"), [(16, 2000), (64, 500), (256, 64), (1024, 8), (4096, 2)])
def test_local_outlier_factor__takes_less_than_300_mb_on_a_gpu(encoders: int, items: int, near: bool) -> None:
    rows = slab_of(encoders, items, 1, near)[:, :, 0].transpose(0, 1)
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    local_outlier_factor(rows, reach_floor=0.75)
    assert torch.cuda.max_memory_allocated() - before < EXTRA_BYTES_MAX


@pytest.mark.parametrize(("encoders", "items"), [(16, 256), (64, 256), (256, 64), (1024, 64)])
def test_score_shard__takes_less_than_300_mb_on_a_gpu(encoders: int, items: int) -> None:
    slab = slab_of(encoders, items, 5, near=False)
    share = torch.full((items, 2), 0.4, device="cuda")
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    score_shard(slab[:, :, 0], slab[:, :, 1:3], slab[:, :, 3:], share)
    assert torch.cuda.max_memory_allocated() - before < EXTRA_BYTES_MAX
