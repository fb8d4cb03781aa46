"""Metrics of embeddings: arrays in, an estimate with its 95 % interval out. No I/O, seeds passed in."""

from node.evaluation.metrics.clustering import Clustering, clustering
from node.evaluation.metrics.composition import differential_loss, recomposition
from node.evaluation.metrics.discrimination import discrimination
from node.evaluation.metrics.estimate import Estimate, mean_estimate
from node.evaluation.metrics.geometry import alignment, uniformity
from node.evaluation.metrics.nearest import nearest_neighbours, neighbour_accuracy, neighbour_hits
from node.evaluation.metrics.parts import Parts
from node.evaluation.metrics.retrieval import Retrieval, ranks, retrieval
from node.evaluation.metrics.triplets import triplet_accuracy, triplet_shares

__all__ = [
    "Clustering",
    "Estimate",
    "Parts",
    "Retrieval",
    "alignment",
    "clustering",
    "differential_loss",
    "discrimination",
    "mean_estimate",
    "nearest_neighbours",
    "neighbour_accuracy",
    "neighbour_hits",
    "ranks",
    "recomposition",
    "retrieval",
    "triplet_accuracy",
    "triplet_shares",
    "uniformity",
]
