"""Joining a network on other machines, exactly as docs/join-a-network.md says: its lines are run here."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np
import pyarrow.parquet as pq
import pytest

from node.cli.errors import ExitCode
from node.corpus import load_challenge_pool
from node.status import STATUS_FILE_NAME, PeerStatus, read_status
from tests.support.cli import ROOT
from tests.support.hosts import Host, machines, until, why_not

VALIDATORS = ("alpha", "beta", "gamma")
ENCODERS = ("delta", "epsilon", "zeta")
GUIDE = ROOT / "docs" / "join-a-network.md"
LINE = re.compile(r"^(\w+)\$ (.+)$", re.MULTILINE)
FAST = "--set slot_ms=5000 --set wave_deadline_ms=2500 --set reveal_deadline_ms=2500 --set masks_per_item=1"
START_IN_S = 8
ROUNDS_OF_TEXT = 1
"""Times the default text, in one validator's pool."""
BEFORE_LATE_JOINER = 2
"""Rounds certified before the third validator starts."""
WITHIN_S = 90.0

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

    def run_at_once(self, section: str) -> None:
        """Run a section of one line a machine on all machines at the same time."""
        with ThreadPoolExecutor(len(self.hosts)) as pool:
            for ended in [pool.submit(self.type, name, line) for name, line in self.sections[section]]:
                ended.result()

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
        for number, name in enumerate(VALIDATORS):
            (hosts[name].home / "corpus.jsonl").write_text(corpus(number))
        guide = Guide(hosts, sections)
        guide.run_at_once("Everybody makes a member card")
        guide.variables["ALPHA"] = hosts["alpha"].json("cat alpha.json")["addresses"][0]
        guide.run("One of them makes the genesis file")
        guide.variables["NETWORK_ID"] = hosts["omega"].json("cat genesis.json")["network_id"]
        guide.run_at_once("Everybody joins")
        for name, line in sections["Everybody starts"]:
            if name != "gamma":
                guide.type(name, line)
        yield guide


def corpus(number: int) -> str:
    """Text for many rounds, other text for each validator: beginnings of some items with ends of others."""
    texts = [text.split() for text in load_challenge_pool(None)]
    shift = range(1 + number, 1 + ROUNDS_OF_TEXT * len(VALIDATORS), len(VALIDATORS))
    mixed = [[*one[:12], *texts[(n + by) % len(texts)][-12:]] for by in shift for n, one in enumerate(texts)]
    return "\n".join(json.dumps({"text": " ".join(words)}) for words in mixed)


def certified(host: Host) -> list[int]:
    """Certified rounds that a machine's operator sees, oldest first."""
    rounds = host.json("deltamesh rounds --last 100 --json")
    return sorted(one["round"] for one in rounds if one["state"] == "certified")


def newest(host: Host) -> int:
    """The newest certified round a running node tells of, -1 before the first: cheap to ask again."""
    status = read_status(host.data / STATUS_FILE_NAME)
    return -1 if status is None or status.last_certified_round is None else status.last_certified_round


def connected(host: Host) -> tuple[PeerStatus, ...]:
    """The peers a running node tells of."""
    status = read_status(host.data / STATUS_FILE_NAME)
    return () if status is None else status.peers


def early_rounds(guide: Guide) -> set[int]:
    """The rounds Alpha has certified, once they are enough to miss."""
    alpha = guide.hosts["alpha"]
    seen: set[int] = set()

    def enough() -> bool:
        nonlocal seen
        seen = set(certified(alpha)) if newest(alpha) >= 0 else set()
        return len(seen) >= BEFORE_LATE_JOINER

    until(enough, WITHIN_S, "rounds certified without the third validator", guide.hosts.values())
    return seen


def join_late(guide: Guide) -> set[int]:
    """Start Gamma once, when there is something to miss; the rounds Alpha had before, once Gamma has them.

    Gamma may take part in a round before it has fetched the earlier ones: its newest round says nothing.
    """
    gamma = guide.hosts["gamma"]
    before = early_rounds(guide)
    if not gamma.nodes:
        guide.type("gamma", dict(guide.sections["Everybody starts"])["gamma"])
    until(
        lambda: newest(gamma) >= 0 and before <= set(certified(gamma)),
        WITHIN_S,
        "the late joiner catches up",
        guide.hosts.values(),
    )
    return before


def exported(host: Host, file: str) -> dict[str, tuple[int, bytes]]:
    """Round and vector of every embedding in an exported file, by text."""
    table = pq.read_table(host.home / file).to_pylist()
    return {row["text"]: (row["round"], np.asarray(row["vector"], "<f4").tobytes()) for row in table}


def test_first_rounds__are_certified_without_the_third_validator(guide: Guide) -> None:
    beta = guide.hosts["beta"]
    before = early_rounds(guide)
    until(lambda: newest(beta) >= 0, WITHIN_S, "Beta certifies too", guide.hosts.values())
    assert before & set(certified(beta))


def test_encoder__opens_no_port(guide: Guide) -> None:
    assert [guide.hosts[name].listening() for name in ENCODERS] == [[], [], []]
    assert guide.hosts["alpha"].listening() == [7700]


def test_encoder__finds_the_validator_that_no_file_names(guide: Guide) -> None:
    delta = guide.hosts["delta"]
    wanted = {"/ip4/10.77.0.1/tcp/7700", "/ip4/10.77.0.2/tcp/7700"}
    until(
        lambda: wanted <= {peer.address for peer in connected(delta)},
        WITHIN_S,
        "an encoder is connected to both validators",
        guide.hosts.values(),
    )
    peers = delta.json("deltamesh peers --json")
    assert wanted <= {peer["address"] for peer in peers if peer["role"] == "validator" and peer["outbound"]}


def test_late_joiner__fetches_and_keeps_what_it_has_missed(guide: Guide) -> None:
    assert not guide.hosts["gamma"].nodes
    before = join_late(guide)
    assert before <= set(certified(guide.hosts["gamma"]))
    peers = guide.hosts["gamma"].json("deltamesh peers --json")
    assert sum(peer["role"] == "validator" for peer in peers) == 2


def test_every_machine__tells_what_it_sees(guide: Guide) -> None:
    join_late(guide)
    said = guide.run("Look")
    assert "running" in said["alpha"]
    assert "10.77.0.1" in said["delta"]
    assert "certified" in said["gamma"]
    for name in ("gamma", "zeta"):
        status = guide.hosts[name].json("deltamesh status --json")
        assert (status["state"], status["network_id"]) == ("running", guide.variables["NETWORK_ID"])
    scores = guide.hosts["gamma"].json("deltamesh scores --json")
    assert len(scores) == len(ENCODERS)
    assert all(one["rounds"] for one in scores)


def test_submitted_text__is_embedded_and_certified_on_another_machine(guide: Guide) -> None:
    beta, gamma = guide.hosts["beta"], guide.hosts["gamma"]
    join_late(guide)
    (name, submit), (other, export) = guide.sections["Have something embedded"]
    text = submit.split('"')[1]
    guide.type(name, submit)
    seen: dict[str, tuple[int, bytes]] = {}
    last = -1

    def served() -> bool:
        nonlocal last, seen
        if newest(gamma) == last:
            return False
        last = newest(gamma)
        guide.type(other, export + " --overwrite")
        seen = exported(gamma, "ours.parquet")
        return text in seen

    until(served, WITHIN_S, "the submitted text is certified", guide.hosts.values())
    round_, vector = seen[text]
    until(lambda: newest(beta) >= round_, WITHIN_S, "beta has the round too", guide.hosts.values())
    beta.sh("deltamesh embeddings export --to ours.parquet")
    assert exported(beta, "ours.parquet")[text] == (round_, vector)


def test_stranger__recomputes_a_report_and_refuses_another_network(guide: Guide) -> None:
    omega = guide.hosts["omega"]
    guide.variables["ROUND"] = str(min(early_rounds(guide)))
    assert "Accepted" in guide.run("Check it elsewhere")["omega"]
    assert not omega.data.exists()
    omega.sh(f"deltamesh verify round.dmr --network-id {'0' * 64}", code=ExitCode.REFUSED)


def test_restarted_validator__is_found_at_its_new_port(guide: Guide) -> None:
    alpha, beta = guide.hosts["alpha"], guide.hosts["beta"]
    until(lambda: newest(beta) >= 0, WITHIN_S, "Beta certifies", guide.hosts.values())
    assert beta.stop() == [0]
    beta.start("deltamesh run validator --listen /ip4/0.0.0.0/tcp/7701")
    until(
        lambda: any(peer.address == "/ip4/10.77.0.2/tcp/7701" for peer in connected(guide.hosts["delta"])),
        WITHIN_S,
        "an encoder dials the new port",
        guide.hosts.values(),
    )
    assert beta.listening() == [7701]
    after = newest(alpha)
    until(lambda: newest(beta) > after, WITHIN_S, "the restarted one keeps up", guide.hosts.values())


def test_every_node__stops_in_order(guide: Guide) -> None:
    join_late(guide)
    codes = {name: guide.hosts[name].stop() for name in (*VALIDATORS, *ENCODERS)}
    assert all(code == 0 for ended in codes.values() for code in ended), codes
