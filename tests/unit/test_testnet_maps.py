"""Maps handed out before a local network starts: each folder has one, or none where the model needs none."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.testnet.maps import hand_out_map
from node.training.folder import save_model
from node.training.models import Lift, TextBag, build_model
from protocol.report import DIMENSIONS


@pytest.mark.slow
def test_two_encoders_of_a_lifted_model__need_no_map(tmp_path: Path) -> None:
    import torch

    model = build_model(TextBag(buckets=64, width=8, dimensions=8), 0)
    model.lift = Lift(torch.zeros(8), torch.eye(8, DIMENSIONS), torch.zeros(DIMENSIONS))
    save_model(tmp_path, model)
    folders = [tmp_path / "first", tmp_path / "second"]
    hand_out_map(f"trained:{tmp_path}", "wordllama-256", "text", folders)
    assert not any(folder.exists() for folder in folders)
