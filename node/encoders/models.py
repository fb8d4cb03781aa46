"""What `--model` may say: a built-in name, or where a model of one's own is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from node.encoders.built_in import encoder_names
from node.encoders.encoder import EncoderError, NativeEncoder
from node.encoders.endpoint import EndpointModel
from node.encoders.function_model import FunctionModel
from node.encoders.sentence_transformer import SentenceTransformerModel
from node.encoders.torch_module import PREFIX as TORCH
from node.encoders.torch_module import TorchModuleModel
from node.encoders.trained import TrainedModel


class Kind(NamedTuple):
    """A way to bring a model of one's own."""

    form: str
    """How it is written."""
    what: str
    open: Callable[[str, int, str], NativeEncoder]
    """From what follows the prefix, the threads it may use, and the modality. Raises EncoderError."""
    text_only: bool = False

    @property
    def embeds(self) -> str:
        """Which modalities, in a word."""
        return "text" if self.text_only else "any"


SENTENCE_TRANSFORMERS: Final = "sentence-transformers:"
OPENAI: Final = "openai:"
TRAINED: Final = "trained:"

KINDS: Final[dict[str, Kind]] = {
    SENTENCE_TRANSFORMERS: Kind(
        f"{SENTENCE_TRANSFORMERS}FOLDER|NAME",
        "a sentence-transformers model, from a folder or by name; needs the extra",
        lambda target, threads, _: SentenceTransformerModel(target, threads),
        text_only=True,
    ),
    OPENAI: Kind(
        f"{OPENAI}MODEL@URL[,URL...]",
        "one or many servers with OpenAI's /v1/embeddings",
        lambda target, _, __: EndpointModel(target),
        text_only=True,
    ),
    TORCH: Kind(
        f"{TORCH}package.module:factory[?weights=FILE]",
        "a function that returns a torch module, also timm's or torchvision's; weights from safetensors only",
        TorchModuleModel,
    ),
    TRAINED: Kind(
        f"{TRAINED}FOLDER",
        "a model of your own, from `deltamesh encoder train`",
        TrainedModel,
    ),
    "": Kind(
        "package.module:function",
        "a Python function of an installed package; path/to/file.py:function of a file",
        lambda target, _, modality: FunctionModel(target, modality),
    ),
}
"""By prefix; the last is what has none of the others."""


def own_model(text: str, threads: int, modality: str = "text") -> NativeEncoder | None:
    """The model `text` says where to find, not loaded yet; None where it is written like a built-in name.

    Raises EncoderError.
    """
    for prefix, kind in KINDS.items():
        if prefix and text.startswith(prefix):
            if kind.text_only and modality != "text":
                raise EncoderError(
                    f"{prefix[:-1]} models embed text, and {modality} is asked of {text}: use one of "
                    f"{', '.join(encoder_names(modality))}, or a function or torch module of your own"
                )
            return kind.open(text.removeprefix(prefix), threads, modality)
    return KINDS[""].open(text, threads, modality) if ":" in text else None
