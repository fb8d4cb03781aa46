"""An encoder with weights: words have vectors, learnt from a folder of text, kept as safetensors.

Learn:   python docs/examples/latent_words.py FOLDER
Try it:  deltamesh models check ./docs/examples/latent_words.py:encode

Words that occur in the same passages get similar vectors (latent semantic analysis), so that two halves of a
text agree even where they share no word. More text makes better vectors.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

WEIGHTS = Path(__file__).with_suffix(".safetensors")
PLACES = 16_384
WIDTH = 256
_WORD = re.compile(r"\w+")


def _counts(texts: list[str]) -> NDArray[np.float32]:
    """How often each word occurs, damped, float32 [n, PLACES]."""
    counts = np.zeros((len(texts), PLACES), dtype=np.float32)
    for row, text in zip(counts, texts, strict=True):
        for word in _WORD.findall(text.lower()):
            row[crc32(word.encode()) % PLACES] += 1
    return np.log1p(counts)


class LatentWords:
    """Called with views, returns float32 [n, WIDTH]. Weights are read at the first call, not at import."""

    def __init__(self, weights: Path) -> None:
        self._weights = weights
        self._vectors: NDArray[np.float32] | None = None

    def __call__(self, views: list[str]) -> NDArray[np.float32]:
        if self._vectors is None:
            self._vectors = self._read()
        return _counts(views) @ self._vectors

    def _read(self) -> NDArray[np.float32]:
        from safetensors.numpy import load_file

        if not self._weights.is_file():
            raise FileNotFoundError(f"no weights at {self._weights}: run `python {__file__} FOLDER` first")
        vectors: NDArray[np.float32] = load_file(self._weights)["vectors"]  # [PLACES, WIDTH]
        return vectors


def learn(folder: Path, weights: Path) -> int:
    """Learn vectors from the .txt, .md and .rst below a folder; the number of passages they came from."""
    from safetensors.numpy import save_file
    from scipy.sparse import csr_matrix
    from sklearn.decomposition import TruncatedSVD

    files = sorted(file for ending in ("txt", "md", "rst") for file in folder.rglob(f"*.{ending}"))
    texts = [text for file in files for text in file.read_text("utf-8", "replace").split("\n\n")]
    passages = [text for text in texts if len(_WORD.findall(text)) >= 8]
    counts = _counts(passages)
    rarity = np.log((1 + len(passages)) / (1 + (counts > 0).sum(axis=0))).astype(np.float32)
    fitted = TruncatedSVD(WIDTH, random_state=0).fit(csr_matrix(counts * rarity))
    vectors = (fitted.components_.T * rarity[:, None]).astype(np.float32)  # [PLACES, WIDTH]
    save_file({"vectors": np.ascontiguousarray(vectors)}, weights)
    return len(passages)


encode = LatentWords(WEIGHTS)

if __name__ == "__main__":
    passages = learn(Path(sys.argv[1]), WEIGHTS)
    sys.stdout.write(f"{passages} passages, vectors in {WEIGHTS}\n")
