"""Where the texts of each split are: packages, and the folders and files of each that are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

Sources: TypeAlias = Mapping[str, Sequence[str]]
"""By package, what is read of it; an empty name is all of it."""

# Chosen for much prose in few files: all of it is parsed in some seconds. Tests are left out.
FIRST_SOURCES: Final[Sources] = {
    "numpy": ("lib", "ma", "polynomial", "linalg", "fft", "_core"),
    "scipy": ("stats", "optimize", "signal", "spatial", "interpolate", "integrate", "ndimage", "linalg"),
    "sklearn": (
        "cluster",
        "datasets/descr",
        "decomposition",
        "ensemble",
        "feature_extraction",
        "gaussian_process",
        "linear_model",
        "manifold",
        "metrics",
        "model_selection",
        "neighbors",
        "preprocessing",
        "svm",
    ),
    "torch": ("_torch_docs.py", "_tensor_docs.py", "nn", "optim", "distributions", "utils/data", "special"),
}
# Of other packages, and of other parts of the same.
LATER_SOURCES: Final[Sources] = {
    "networkx": ("",),
    "numpy": ("_typing", "char", "f2py", "random", "strings", "testing", "typing"),
    "scipy": ("cluster", "datasets", "differentiate", "fft", "fftpack", "io", "sparse", "special"),
    "sklearn": (
        "base.py",
        "calibration.py",
        "compose",
        "covariance",
        "cross_decomposition",
        "datasets",
        "discriminant_analysis.py",
        "dummy.py",
        "feature_selection",
        "frozen",
        "impute",
        "inspection",
        "isotonic.py",
        "kernel_approximation.py",
        "kernel_ridge.py",
        "mixture",
        "multiclass.py",
        "multioutput.py",
        "naive_bayes.py",
        "neural_network",
        "pipeline.py",
        "random_projection.py",
        "semi_supervised",
        "tree",
        "utils",
    ),
    "sympy": ("",),
    "torch": ("ao", "autograd", "cuda", "distributed", "export", "func", "fx", "library.py", "onnx"),
}
# Of packages that none of the others reads. What transformers says of its models it says of each again.
LATEST_SOURCES: Final[Sources] = {
    "PIL": ("",),
    "huggingface_hub": ("",),
    "libp2p": ("",),
    "numba": ("",),
    "openai": ("",),
    "pyarrow": ("",),
    "pydantic": ("",),
    "sentence_transformers": ("",),
    "setuptools": ("",),
    "transformers": (
        "cache_utils.py",
        "configuration_utils.py",
        "data",
        "feature_extraction_utils.py",
        "generation",
        "image_utils.py",
        "integrations",
        "modeling_utils.py",
        "pipelines",
        "processing_utils.py",
        "quantizers",
        "tokenization_utils_base.py",
        "trainer.py",
        "training_args.py",
        "utils",
    ),
    "trio": ("",),
}
