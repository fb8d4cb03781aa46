"""docs/waves.md and docs/protocol.md give the tables and the constants of the code."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from protocol.bending import BENT, EXPOSED_MILLINATS, LEANING
from protocol.probes import (
    FRAGMENT_UNITS_MIN,
    INVERSES_OF,
    PROBE_SHARE_PPM,
    UNITS_A_CUT,
    UNITS_DRAWN,
    probe_count,
)
from scoring import probes
from tests.support.documents import ROOT, read

WAVES, PROTOCOL = (" ".join(read(f"docs/{name}.md").split()) for name in ("waves", "protocol"))


def test_tables__are_those_of_the_rows_beside_the_page() -> None:
    spec = importlib.util.spec_from_file_location("write_waves", Path(ROOT, "docs", "write_waves.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.page() == read("docs/waves.md")


def test_probes__are_drawn_as_the_pages_say() -> None:
    assert f"{PROBE_SHARE_PPM / 10_000:g} % of the views" in WAVES
    assert f"{PROBE_SHARE_PPM / 10_000:g} % of the views of the scored items" in PROTOCOL
    assert f"{probe_count(64, 2)} of 64 items and {probe_count(256, 2)} of 256" in PROTOCOL
    assert f"fewer than {FRAGMENT_UNITS_MIN} units, less one unit for every {UNITS_A_CUT} begun" in PROTOCOL
    assert f"the smallest of {UNITS_DRAWN} drawn" in PROTOCOL
    assert f"mask 0 (one in {INVERSES_OF})" in PROTOCOL
    assert f"less one word for every {UNITS_A_CUT} begun, each the shortest of {UNITS_DRAWN} drawn" in WAVES


def test_sequential_test__has_the_constants_of_the_pages() -> None:
    for name, sign in (("bent", BENT), ("leaning", LEANING)):
        shares = f"{sign.honest_share_max:.0%} | {sign.fabricated_share:.0%}".replace("%", " %")
        step = f"+{sign.with_millinats} | -{sign.without_millinats}"
        assert f"| {name} | {shares} | {step} |" in PROTOCOL
    assert f"At {EXPOSED_MILLINATS} of either" in PROTOCOL
    worst = f"at most {BENT.honest_share_max:.0%} are bent and {LEANING.honest_share_max:.0%} leaning"
    assert worst.replace("%", " %") in WAVES
    signs = ((one.with_millinats, one.without_millinats) for one in (BENT, LEANING))
    still = [without / (with_sign + without) for with_sign, without in signs]
    assert f"begin to grow above {still[0]:.0%} and {still[1]:.0%}".replace("%", " %") in WAVES


def test_terms__have_the_constants_of_the_page() -> None:
    assert f"kept within {probes.SPREAD_MIN:g} and {probes.SPREAD_MAX:g}".replace("0.", ".") in WAVES
    assert (
        f"({probes.FORWARD_CENTRE_MIN:g}, and {probes.BACKWARD_CENTRE_MIN:g} for the other".replace("0.", ".")
        in WAVES
    )
    bent, leaning = probes.BENT, probes.LEANING
    assert f"from {bent.zero_at:g} spreads (wholly from {bent.one_at:g})" in WAVES
    assert f"from {leaning.zero_at:g} ({leaning.one_at:g}) in the first" in WAVES
    assert all(f"`{name}`" in PROTOCOL for name in probes.ProbeTerms._fields)
