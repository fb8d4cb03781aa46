"""Scoring in a process of its own: torch would hold the event loop's interpreter lock and 300 MB."""

from node.scoring_worker.client import ScoringUnavailable, ScoringWorker, open_scoring_worker

__all__ = ["ScoringUnavailable", "ScoringWorker", "open_scoring_worker"]
