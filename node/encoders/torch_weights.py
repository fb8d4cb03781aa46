"""Weights of a torch module: read from safetensors, and from nothing that could run code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from safetensors import SafetensorError

from node.encoders.encoder import EncoderError

if TYPE_CHECKING:
    import torch

SUFFIX: Final = ".safetensors"
KEYS_SHOWN: Final = 5
_PICKLES: Final = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle", ".tar")
_CONVERT: Final = (
    'python -c "import torch, safetensors.torch as s; w = torch.load({old!r}, weights_only=True); '
    "s.save_file({{k: v.clone().contiguous() for k, v in w.get('state_dict', w).items()}}, {new!r})\""
)


def check_weights_path(weights: str) -> None:
    """Raise EncoderError for a file that is not there or that is no safetensors by its name.

    A pickle is told the command that converts it: `weights_only` reads no code, and is asked for once, by
    the user.
    """
    path = Path(weights)
    if path.suffix != SUFFIX:
        hint = "give a file of safetensors"
        if path.suffix.lower() in _PICKLES:
            hint = "convert it once with\n  " + _CONVERT.format(
                old=weights, new=str(path.with_suffix(SUFFIX))
            )
        raise EncoderError(
            f"weights are read from {SUFFIX} only, and {path.name} is none: other formats can run code when "
            f"they are loaded; {hint}"
        )
    if not path.is_file():
        raise EncoderError(f"there are no weights at {path.absolute()}: check the path after ?weights=")


def load_weights(module: torch.nn.Module, weights: str, factory: str) -> None:
    """Fill a module. Raises EncoderError naming the keys that are missing, left over or of another shape."""
    from safetensors.torch import load_file

    check_weights_path(weights)
    try:
        found = load_file(weights)
    except (SafetensorError, OSError) as error:
        raise EncoderError(
            f"{weights} cannot be read as safetensors ({error}): copy or convert it anew"
        ) from None
    wanted = module.state_dict()
    faults = {
        "missing": sorted(wanted.keys() - found.keys()),
        "left over": sorted(found.keys() - wanted.keys()),
        "of another shape": [
            f"{key} {tuple(found[key].shape)} for {tuple(wanted[key].shape)}"
            for key in sorted(wanted.keys() & found.keys())
            if found[key].shape != wanted[key].shape
        ],
    }
    told = [f"{_listed(keys)} {what}" for what, keys in faults.items() if keys]
    if told:
        raise EncoderError(
            f"{weights} does not fit what {factory} returns: {'; '.join(told)}; take the weights of "
            "this module"
        )
    module.load_state_dict(found)


def _listed(keys: list[str]) -> str:
    more = len(keys) - KEYS_SHOWN
    return ", ".join(keys[:KEYS_SHOWN]) + (f" and {more} more" if more > 0 else "")
