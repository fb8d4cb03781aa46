"""The adversary table: every attack in every setting, by both rules, the worst of some seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from pathlib import Path
from typing import Final

from blake3 import blake3

from node.bench.adversaries import ATTACKS, describe
from node.bench.encoders import CABAL_NAME, alignment_key
from node.bench.errors import BenchError
from node.bench.measure import Baseline, Figures, baseline, measure
from node.bench.row_store import RowStore
from node.bench.shards import ITEMS, Setting, Shard, embedded_for, shard_of
from node.bench.texts import Split, split_texts
from node.encoders.alignment import Alignment
from scoring import HARDENED, LITERAL

BETTER: Final = "better"
"""No attack: the best encoder of the shard joins it, alone and honest. It should gain weight and displace."""
RULES_COMPARED: Final = (HARDENED, LITERAL)
_BETTER_DOES: Final = "The best encoder of the shard joins the others and is honest."


@dataclass(frozen=True)
class Row:
    """An attack in a setting, by a rule: the worst of all seeds, figure by figure."""

    attack: str
    setting: str
    rule: str
    figures: Figures

    def document(self) -> dict[str, object]:
        """As JSON takes it."""
        return {"attack": self.attack, "setting": self.setting, "rule": self.rule, **asdict(self.figures)}


@dataclass(frozen=True)
class Case:
    """One thing to measure."""

    attack: str
    setting: Setting
    seed: int

    @property
    def key(self) -> str:
        """Its name in the store of rows."""
        return f"{self.attack}|{self.setting.name}|{self.seed}"


def attack_names() -> tuple[str, ...]:
    """Every attack there is, and the better encoder, which is none."""
    return (*ATTACKS, BETTER)


def attack_description(name: str) -> str:
    """What an attack does, in one line."""
    return _BETTER_DOES if name == BETTER else describe(name)


def cases_of(attacks: Sequence[str], settings: Sequence[Setting], seeds: int) -> list[Case]:
    """Every attack in every setting; the better encoder joins each size of shard once. Raises BenchError."""
    unknown = [name for name in attacks if name not in attack_names()]
    if unknown:
        raise BenchError(f"There is no attack `{unknown[0]}`: use one of {', '.join(attack_names())}.")
    alone = dict.fromkeys(Setting(setting.encoders, 1) for setting in settings)
    return [
        Case(attack, setting, seed)
        for seed in range(seeds)
        for attack in attacks
        for setting in (alone if attack == BETTER else settings)
    ]


def measured(
    cases: Sequence[Case], split: Split, cache_dir: Path, *, items: int = ITEMS
) -> Iterator[tuple[Case, dict[str, Figures]]]:
    """Each case with its figures by rule. What was measured before, by the same code, is not done again."""
    store = RowStore(cache_dir, _question(cases, split, items))
    for seed in dict.fromkeys(case.seed for case in cases):
        of_seed = [case for case in cases if case.seed == seed]
        missing = [case for case in of_seed if store.get(case.key) is None]
        bench = _Seed(missing, split, items, seed, cache_dir) if missing else None
        for case in of_seed:
            known = store.get(case.key)
            if known is None and bench is not None:
                known = bench.figures(case)
                store.put(case.key, known)
            if known is not None:
                yield case, known


def worst_rows(results: Sequence[tuple[Case, dict[str, Figures]]]) -> list[Row]:
    """The worst of all seeds for each attack, setting and rule, in order of first appearance."""
    groups: dict[tuple[str, str, str], list[Figures]] = {}
    for case, by_rule in results:
        for rule, figures in by_rule.items():
            groups.setdefault((case.attack, case.setting.name, rule), []).append(figures)
    return [Row(*names, reduce(Figures.worst, figures)) for names, figures in groups.items()]


class _Seed:
    """The shards of one seed, and what each rule makes of the honest alone."""

    def __init__(self, cases: Sequence[Case], split: Split, items: int, seed: int, cache_dir: Path) -> None:
        self._embedded = embedded_for([case.setting for case in cases], split, items, seed, cache_dir)
        self._shards: dict[tuple[Setting, bool], tuple[Shard, dict[str, Baseline]]] = {}

    def figures(self, case: Case) -> dict[str, Figures]:
        """By the name of the rule."""
        shard, alone = self._shard(case)
        scene = shard.scene(_draw_seed(case))
        attacking = scene.own if case.attack == BETTER else ATTACKS[case.attack](scene)
        return {rule.name: measure(shard, attacking, rule, alone[rule.name]) for rule in RULES_COMPARED}

    def _shard(self, case: Case) -> tuple[Shard, dict[str, Baseline]]:
        key = case.setting, case.attack == BETTER
        if key not in self._shards:
            shard = shard_of(case.setting, self._embedded, case.seed, best_attacks=key[1])
            self._shards[key] = shard, {rule.name: baseline(shard, rule) for rule in RULES_COMPARED}
        return self._shards[key]


def _question(cases: Sequence[Case], split: Split, items: int) -> str:
    """What was embedded: the texts, and the encoders with all that their answers depend on."""
    names = sorted({name for case in cases for name in (*case.setting.encoders, CABAL_NAME)})
    keys = [alignment_key(name, Alignment.PROCRUSTES).hex() for name in names]
    texts = blake3(repr(split_texts(split)).encode()).hexdigest()
    shards = sorted({case.setting.encoders for case in cases})
    return repr((split.value, texts, items, keys, shards))


def _draw_seed(case: Case) -> int:
    """Another one for each case, so that no two attacks share their noise."""
    return int.from_bytes(blake3(case.key.encode()).digest(length=8), "big")
