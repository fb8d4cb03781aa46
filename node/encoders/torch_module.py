"""A torch module as a model, timm's and torchvision's too: `torch:package.module:factory[?weights=FILE]`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from node.encoders.answering_model import AnsweringModel
from node.encoders.encoder import EncoderError
from node.encoders.user_code import load_function

if TYPE_CHECKING:
    import torch

PREFIX: Final = "torch:"
BATCH_VIEWS: Final = 64
FACTORY_SEED: Final = 0
"""torch's seed while the factory runs: a module without weights must be the same one after a restart."""
_WEIGHTS: Final = "?weights="


class TorchFactory(Protocol):
    """What `torch:package.module:factory` names; annotate yours with it.

    The module is called with a batch of views: `list[str]` of text, `list[bytes]` of raw bytes, float32
    [n, 3, h, w] of images, [n, samples] of sound, [n, steps, channels] of series. It returns [n, d], or
    [n, c, h, w], which is averaged over h and w. Images are resized to the `input_size` the module declares
    ((3, h, w), (h, w) or one side) and normalised by its `mean` and `std`; timm's `pretrained_cfg` and
    `default_cfg` will do. With an attribute `preprocess` that is called instead, on one view at a time (a
    PIL image where views are images), and returns a tensor; these are stacked.
    """

    def __call__(self) -> torch.nn.Module:
        """The module, with its weights unless they are named by `?weights=`."""


class TorchModuleModel(AnsweringModel):
    """A module in evaluation mode, on a GPU where there is one. Raises EncoderError for a wrong target."""

    def __init__(self, target: str, threads: int = 1, modality: str = "text") -> None:
        super().__init__(f"{PREFIX}{target}", modality)
        self._factory, found, self._weights = target.partition(_WEIGHTS)
        if "?" in self._factory or (found and not self._weights):
            raise EncoderError(
                f"'{self.name}' is no module: write {PREFIX}package.module:factory{_WEIGHTS}FILE"
            )
        self._threads = threads
        self._module: torch.nn.Module | None = None

    def _answer(self, views: list[Any]) -> Any:
        module = self._loaded()
        import torch

        rows: list[NDArray[np.float32] | None] = [None] * len(views)
        try:
            with torch.inference_mode():
                for places, batch in self._batches(module, views):
                    answered = _pooled(module(batch), self.name, len(places))
                    for place, row in zip(places, answered, strict=True):
                        rows[place] = row
        except EncoderError:
            raise
        except Exception as error:
            raise EncoderError(f"{self.name} failed: {type(error).__name__}: {error}") from error
        return rows

    def _batches(self, module: torch.nn.Module, views: list[Any]) -> list[tuple[Sequence[int], Any]]:
        from node.encoders.torch_inputs import tensor_batches

        device = next((one.device for one in module.parameters()), None)
        return tensor_batches(module, self.modality, views, BATCH_VIEWS, device, self.name)

    def _loaded(self) -> torch.nn.Module:
        if self._module is None:
            self._module = self._load()
        return self._module

    def _load(self) -> torch.nn.Module:
        if self._weights:
            from node.encoders.torch_weights import check_weights_path

            check_weights_path(self._weights)
        factory: Callable[[], Any] = load_function(self._factory)
        import torch

        torch.set_num_threads(self._threads)
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(FACTORY_SEED)
                module = factory()
        except Exception as error:
            raise EncoderError(f"{self.name} failed: {type(error).__name__}: {error}") from error
        if not isinstance(module, torch.nn.Module):
            raise EncoderError(
                f"{self._factory} returned {type(module).__name__}: return a torch.nn.Module; a function "
                f"that embeds views runs as --model {self._factory}"
            )
        if self._weights:
            from node.encoders.torch_weights import load_weights

            load_weights(module, self._weights, self._factory)
        return module.to("cuda" if torch.cuda.is_available() else "cpu").eval()


def _pooled(answer: Any, name: str, views: int) -> NDArray[np.float32]:
    """[views, d] float32: [n, c, h, w] averaged over h and w. Raises EncoderError for what is neither."""
    import torch

    if isinstance(answer, torch.Tensor) and answer.dim() == 4:
        answer = answer.mean(dim=(2, 3))
    if not isinstance(answer, torch.Tensor) or answer.dim() != 2 or len(answer) != views:
        shape = (
            f"of shape {tuple(answer.shape)}" if isinstance(answer, torch.Tensor) else type(answer).__name__
        )
        raise EncoderError(
            f"{name} returned {'a tensor ' if 'shape' in shape else ''}{shape} for {views} views: return a "
            f"tensor ({views}, d), or ({views}, channels, height, width)"
        )
    return np.asarray(answer.float().cpu().numpy())
