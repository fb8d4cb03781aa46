"""Innovation and leak by the medians of a shard, which attackers speak in: judged again without who leaks."""

from __future__ import annotations

import torch
from torch import Tensor

from scoring.fragments import Fragments, median_terms
from scoring.rule import ScoringRule
from scoring.terms import let_through


def heard_terms(
    some: Fragments, members: Tensor, counted: Tensor, heard: Tensor, rule: ScoringRule
) -> dict[str, Tensor]:
    """Innovation and leak of n encoders `members`, by medians over who can be trusted. -> [n] float64 each.

    counted [n, I']; heard [3, n] bool: over whose full views, masks and inverses the medians are taken at
    first. They are taken again without those whose leak costs them score, and once more without those who
    leak more than rule.heard_leak_max; each encoder has whichever of these two speaks better of it.
    """
    found = median_terms(some, members, counted, heard, rule)
    if rule.leak_gate is None:
        return found
    leak = found["leak"]
    # Who answers an honest encoder's mask for its inverse would turn the medians against it.
    lenient = heard & (rule.leak_gate(leak) == 1)
    if _say_more(lenient, heard, rule):
        found = median_terms(some, members, counted, lenient, rule)
    if rule.heard_leak_max is None:
        return found
    # Who mixes in only some of it leaks no more than an encoder far better than the others does. Medians that
    # hear neither are safe from the first and unjust to the second.
    strict = heard & (leak <= rule.heard_leak_max)
    if not _say_more(strict, lenient, rule):
        return found
    other = median_terms(some, members, counted, strict, rule)
    better = _passed(other, rule) > _passed(found, rule)
    return {name: torch.where(better, other[name], found[name]) for name in found}


def _say_more(heard: Tensor, before: Tensor, rule: ScoringRule) -> bool:
    """Whether medians over those heard differ from medians over those before, and are of enough of them."""
    return not torch.equal(heard, before) and int(heard.sum(1).min()) >= rule.encoders_min


def _passed(terms: dict[str, Tensor], rule: ScoringRule) -> Tensor:
    """What the gates of both terms let through together. [n] each -> [n]."""
    return torch.stack([let_through(name, values, rule) for name, values in terms.items()]).prod(0)
