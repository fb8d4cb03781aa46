"""The record of a local network's run, as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from node.store import RoundState
from node.testnet.plan import TestnetPlan
from node.testnet.table import stake_share
from node.testnet.watch import RoundView

VECTOR_BYTES = 4096


def summarise(
    plan: TestnetPlan, views: Sequence[RoundView], first_certificate_ms: int | None, elapsed_ms: int
) -> dict[str, Any]:
    """Everything a script would ask about the run; latencies in ms, sizes in bytes."""
    certified = [view for view in views if view.state is RoundState.CERTIFIED]
    return {
        "network_id": plan.genesis.network_id.hex(),
        "directory": str(plan.root),
        "validators": len(plan.validators),
        "encoders": len(plan.encoders),
        "cheaters": sum(node.cheat is not None for node in plan.encoders),
        "shards_per_round": plan.genesis.parameters.shards_per_round,
        "rounds_dealt": len(views),
        "rounds_certified": len(certified),
        "first_certificate_ms": first_certificate_ms,
        "elapsed_ms": elapsed_ms,
        "rounds": [round_summary(plan, view) for view in views],
        "means": means(plan, certified),
    }


def round_summary(plan: TestnetPlan, view: RoundView) -> dict[str, Any]:
    """One round."""
    scores = {score.encoder: score for score in view.scores}
    return {
        "round": view.round,
        "shard": view.shard,
        "state": view.state.value,
        "reason": view.reason,
        "dealer": view.dealer.hex(),
        "items": view.items,
        "latency_ms": {
            **{f"wave_{wave}": ms for wave, ms in sorted(view.wave_ms.items())},
            "reveals": view.reveal_ms,
            "scoring": view.score_ms,
            "certified": view.certified_ms,
        },
        "disputes": view.disputes,
        "certificate": {
            "report": view.report.hex() if view.report else None,
            "stake_share": stake_share(plan, view),
            "attested_by": [key.hex() for key in view.attesting],
        },
        "encoders": [
            {
                "public_key": node.public_key.hex(),
                "runs": node.model,
                "cheats": node.cheat,
                "waves_answered": [
                    wave for wave in (1, 2, 3) if node.public_key in view.committed.get(wave, ())
                ],
                "late": node.public_key in view.late,
                "revealed": node.public_key in view.revealed,
                **_traffic(view, node.public_key),
                "score": scores[node.public_key].score if node.public_key in scores else None,
                "weight": scores[node.public_key].weight if node.public_key in scores else None,
                "terms": dict(scores[node.public_key].terms) if node.public_key in scores else {},
            }
            for node in plan.encoders
        ],
    }


def means(plan: TestnetPlan, views: Sequence[RoundView]) -> list[dict[str, Any]]:
    """Mean score and weight of every encoder over certified rounds, best first."""
    rows = []
    for node in plan.encoders:
        mine = [score for view in views for score in view.scores if score.encoder == node.public_key]
        if mine:
            rows.append(
                {
                    "public_key": node.public_key.hex(),
                    "runs": node.model,
                    "cheats": node.cheat,
                    "score": sum(score.score for score in mine) / len(mine),
                    "weight": sum(score.weight for score in mine) / len(mine),
                }
            )
    return sorted(rows, key=lambda row: -float(str(row["score"])))


def _traffic(view: RoundView, key: bytes) -> dict[str, Any]:
    received, vectors = view.received_bytes.get(key, 0), view.vectors
    per_vector = received / vectors if vectors and key in view.revealed else None
    return {"bytes_received": received, "bytes_per_vector": per_vector, "bytes_of_a_vector": VECTOR_BYTES}
