"""Joining a network on other machines, exactly as docs/join-a-network.md says: its lines are run here."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from node.corpus import load_challenge_pool
from tests.support.cli import ROOT
from tests.support.hosts import Host, machines, until, why_not

VALIDATORS = ("alpha", "beta", "gamma")
ENCODERS = ("delta", "epsilon", "zeta")
GUIDE = ROOT / "docs" / "join-a-network.md"
LINE = re.compile(r"^(\w+)\$ (.+)$", re.MULTILINE)
FAST = "--set slot_ms=6000 --set wave_deadline_ms=3000 --set reveal_deadline_ms=3000 --set masks_per_item=1"
START_IN_S = 8
BEFORE_LATE_JOINER = 2
"""Rounds certified before the third validator starts."""
WITHIN_S = 90.0
SUBMITTED = "Bees find their way home by the sun and by what they remember of the land."

NO_HOSTS = why_not()
pytestmark = [
    pytest.mark.network,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(NO_HOSTS is not None, reason=NO_HOSTS or ""),
]


@dataclass
class Guide:
    """The guide's lines, section by section, and the machines they are run on."""

    hosts: dict[str, Host]
    sections: dict[str, list[tuple[str, str]]]
    variables: dict[str, str] = field(default_factory=dict)

    def run(self, section: str) -> dict[str, str]:
        """Run a section's lines in their order; what each machine's last command printed."""
        said = {}
        for name, line in self.sections[section]:
            said[name] = self.type(name, line)
        return said

    def type(self, name: str, line: str) -> str:
        """One line on one machine. What stays running is started, and a copy to another machine is a copy."""
        for variable, value in self.variables.items():
            line = line.replace(f"${variable}", value)
        if line.startswith("scp "):
            _, file, target = line.split()
            shutil.copy(self.hosts[name].home / file, self.hosts[target.rstrip(":")].home / file)
            return ""
        if line.startswith("deltamesh run "):
            self.hosts[name].start(line)
            return ""
        line = line.replace("--set slot_ms=20000", FAST).replace("--start +10m", f"--start +{START_IN_S}s")
        return self.hosts[name].sh(line)


@pytest.fixture(scope="module")
def guide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guide]:
    """The network of the guide, with Alpha, Beta and the encoders running."""
    parts = re.split(r"^## (?:\d\. )?(.+)$", GUIDE.read_text(), flags=re.MULTILINE)[1:]
    sections = {title: LINE.findall(text) for title, text in zip(parts[::2], parts[1::2], strict=True)}
    with ExitStack() as stack:
        hosts = stack.enter_context(
            machines(tmp_path_factory.mktemp("machines"), *VALIDATORS, *ENCODERS, "omega")
        )
        texts = load_challenge_pool(None)
        for number, name in enumerate(VALIDATORS):
            lines = [json.dumps({"text": text}) for text in texts[number :: len(VALIDATORS)]]
            (hosts[name].home / "corpus.jsonl").write_text("\n".join(lines))
        guide = Guide(hosts, sections)
        guide.run("Everybody makes a member card")
        guide.variables["ALPHA"] = hosts["alpha"].json("cat alpha.json")["addresses"][0]
        guide.run("One of them makes the genesis file")
        guide.variables["NETWORK_ID"] = hosts["omega"].json("cat genesis.json")["network_id"]
        guide.run("Everybody joins")
        for name, line in sections["Everybody starts"]:
            if name != "gamma":
                guide.type(name, line)
        yield guide


def certified(host: Host) -> list[int]:
    """Certified rounds that a machine's operator sees, oldest first."""
    rounds = host.json("deltamesh rounds --last 100 --json")
    return sorted(one["round"] for one in rounds if one["state"] == "certified")


def late_joiner(guide: Guide) -> float:
    """Start Gamma unless it runs; seconds since then."""
    gamma = guide.hosts["gamma"]
    if not gamma.nodes:
        guide.type("gamma", dict(guide.sections["Everybody starts"])["gamma"])
    return time.monotonic()


def test_first_rounds__are_certified_without_the_third_validator(guide: Guide) -> None:
    hosts = guide.hosts
    until(
        lambda: all(len(certified(hosts[name])) >= BEFORE_LATE_JOINER for name in ("alpha", "beta")),
        WITHIN_S,
        "two rounds certified",
        hosts.values(),
    )


def test_encoder__opens_no_port(guide: Guide) -> None:
    assert [guide.hosts[name].listening() for name in ENCODERS] == [[], [], []]
    assert guide.hosts["alpha"].listening() == [7700]
