"""Pairs: items with the consensus vectors that the network has certified for them, kept by an encoder."""

from node.pairs.pairs import PAIRS_MAX, Pair, Pairs

__all__ = ["PAIRS_MAX", "Pair", "Pairs"]
