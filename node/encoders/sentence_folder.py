"""The folder of a sentence-transformers model: one that is told, or the hub's, from its cache or fetched."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from node.encoders.encoder import EncoderError

OWNER: Final = "sentence-transformers"
"""Whose a name without an owner is, as in that library."""
_WANTED: Final = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja")
_NOT_WANTED: Final = ("onnx/*", "openvino/*")
_CONVERT: Final = (
    'python -c "from sentence_transformers import SentenceTransformer as S; '
    'S({old!r}).save_pretrained({new!r})"'
)


def model_folder(target: str) -> Path:
    """Where the model's files are; those of a name are fetched where the hub's cache lacks them.

    No pickle and no code is fetched. Raises EncoderError where there is no such folder or name, and where the
    hub cannot be asked.
    """
    folder = Path(target).expanduser()
    if folder.is_dir():
        return folder
    if target.startswith((".", "/", "~")) or target.count("/") > 1:
        raise EncoderError(f"there is no folder {folder.absolute()}: check the path of the model")
    return _of_the_hub(target if "/" in target else f"{OWNER}/{target}")


def check_weights(folder: Path) -> None:
    """Raise EncoderError for a folder some of whose weights are not safetensors, with what converts them."""
    # The library falls back to a pickle for each part of a model by itself.
    pickled = [path for path in sorted(folder.rglob("pytorch_model*.bin")) if not _has_weights(path.parent)]
    if not pickled and any(folder.rglob("*.safetensors")):
        return
    which = f"{pickled[0].relative_to(folder)} is a pickle" if pickled else "it holds no .safetensors"
    command = _CONVERT.format(old=str(folder), new=f"{folder.absolute()}-safetensors")
    raise EncoderError(
        f"weights are read from .safetensors only, and of {folder} {which}: other formats can run code when "
        f"they are loaded; convert a model that you trust once with\n  {command}"
    )


def _has_weights(folder: Path) -> bool:
    return any(folder.glob("*.safetensors"))


def _of_the_hub(name: str) -> Path:
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError, RepositoryNotFoundError

    cache = os.environ.get("SENTENCE_TRANSFORMERS_HOME") or constants.HF_HUB_CACHE
    try:
        return Path(
            snapshot_download(
                name, cache_dir=cache, allow_patterns=[*_WANTED], ignore_patterns=[*_NOT_WANTED]
            )
        )
    except LocalEntryNotFoundError as error:
        partial = getattr(error, "snapshot_path", None)
        if partial is not None:
            return Path(partial)  # what it lacks may be needed by nobody, and is told if it is
        why = (
            "HF_HUB_OFFLINE forbids to fetch it"
            if constants.HF_HUB_OFFLINE
            else "the hub cannot be reached to fetch it"
        )
        raise EncoderError(
            f"the model {name} is not in the hub's cache on this machine, {cache}, and {why}: "
            f"run `hf download {name}` where there is a network, or give the path of a folder that "
            "holds the model"
        ) from None
    except RepositoryNotFoundError:
        raise EncoderError(
            f"the hub has no model {name} that may be read from here: check the name, and set HF_TOKEN where "
            "it is private"
        ) from None
    except HFValidationError:
        raise EncoderError(
            f"'{name}' is neither a folder nor a model's name: write OWNER/NAME, or the path of a folder"
        ) from None
    except Exception as error:  # of the network, in its library's many classes
        raise EncoderError(
            f"the model {name} cannot be fetched ({type(error).__name__}: {error}): try again, or give the "
            "path of a folder that holds it"
        ) from error
