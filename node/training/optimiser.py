"""Adam for dense and for sparse gradients, with a state that is tensors and can be written down."""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor, nn

from node.training.errors import TrainingError

WEIGHT_DECAY: Final = 1e-4


class Optimiser:
    """Lazy Adam for tables whose rows are looked up, AdamW for everything else."""

    def __init__(self, model: nn.Module, rate: float) -> None:
        tables = [one for one in model.modules() if isinstance(one, nn.EmbeddingBag) and one.sparse]
        sparse = [one.weight for one in tables]
        known = {id(one) for one in sparse}
        dense = [one for one in model.parameters() if id(one) not in known and one.requires_grad]
        self._parts: list[torch.optim.Optimizer] = []
        if sparse:
            self._parts.append(torch.optim.SparseAdam(sparse, lr=rate))
        if dense:
            self._parts.append(torch.optim.AdamW(dense, lr=rate, weight_decay=WEIGHT_DECAY))

    def step(self, loss: Tensor) -> None:
        """One step down the gradient of a loss."""
        for part in self._parts:
            part.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for part in self._parts:
            part.step()

    def tensors(self) -> dict[str, Tensor]:
        """The state, by names `optimiser.PART.PARAMETER.KEY`; counts of steps become tensors."""
        found = {}
        for place, part in enumerate(self._parts):
            for parameter, state in part.state_dict()["state"].items():
                for key, value in state.items():
                    tensor = value if isinstance(value, Tensor) else torch.tensor(value)
                    found[f"optimiser.{place}.{parameter}.{key}"] = tensor.detach().cpu().contiguous()
        return found

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Take up a state. Raises TrainingError where it is of another model."""
        for place, part in enumerate(self._parts):
            states: dict[int, dict[str, Any]] = {}
            for name, tensor in tensors.items():
                _, of, parameter, key = name.split(".")
                if int(of) == place:
                    whole = isinstance(part, torch.optim.SparseAdam) and key == "step"
                    states.setdefault(int(parameter), {})[key] = int(tensor) if whole else tensor
            groups = part.state_dict()["param_groups"]
            if not set(states) <= {one for group in groups for one in group["params"]}:
                raise TrainingError("the checkpoint is of another model: train without --resume")
            part.load_state_dict({"state": states, "param_groups": groups})
