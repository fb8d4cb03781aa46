"""The quickstart's five commands, as the page has them, in an empty home."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli import Ended, deltamesh, process
from tests.support.documents import commands_in, read
from tests.support.testnet_process import assert_nothing_runs, end, left_of, start

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(400)]
PATIENCE_S = 150.0
FIVE = re.search(r"^## Five commands\n(.*?)^## ", read("docs/quickstart.md"), re.DOTALL | re.MULTILINE)
assert FIVE is not None
COMMANDS = [words for words in commands_in(FIVE[1]) if words[:1] != ["testnet"]]
"""Those after the installation and the network itself."""
UP = next(words for words in commands_in(FIVE[1]) if words[:1] == ["testnet"])


def until(condition: str, holds: bool, deadline_s: float, run: subprocess.Popen[str]) -> bool:
    """Whether to look again; fails when it is too late, or the network has ended."""
    assert run.poll() is None, run.communicate()
    assert time.monotonic() < deadline_s, f"not in time: {condition}"
    if not holds:
        time.sleep(0.5)
    return not holds


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    folder = tmp_path_factory.mktemp("quickstart")
    (folder / "home").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder / "home"))
        patch.delenv("XDG_DATA_HOME", raising=False)
        assert UP[2:4] == ["--dir", "/tmp/net"]
        # Two validators in place of four: the same commands on half the machine.
        network = start(folder, *UP[4:], "--validators", "2")
        try:
            yield network, folder
        finally:
            network.send_signal(signal.SIGINT)
            end(network, 60.0)
            assert_nothing_runs(folder)


def typed(words: list[str], folder: Path) -> Ended:
    """A command of the page, with the folder of this run in place of the page's."""
    return process(*(word.replace("/tmp/net", str(folder / "net")) for word in words))


def test_quickstart__ends_with_a_verified_embedding_and_weight_for_a_function_of_ones_own(
    run: tuple[subprocess.Popen[str], Path],
) -> None:
    network, folder = run
    home = folder / "net" / "validator-1"
    deadline_s = time.monotonic() + PATIENCE_S
    while until("a certified round", bool(_weights(home)), deadline_s, network):
        pass
    assert [words[0] for words in COMMANDS] == ["embed", "scores", "verify"]
    embed, scores, verify = COMMANDS

    embedded = typed(embed, folder)
    assert embedded.code == 0, embedded.err
    assert embed[1] in embedded.out
    assert "becomes public" in embedded.err

    own = _key_of_the_own_function(folder)
    while until("weight for the function", _weights(home).get(own, 0.0) > 0, deadline_s, network):
        pass
    explained = typed(scores, folder)
    assert explained.code == 0, explained.err
    assert f"Encoder {own[:8]}" in explained.out

    verified = typed(verify, folder)
    assert verified.code == 0, verified.err
    checks = re.findall(r"^(✓ \w+)", FIVE[1] if FIVE else "", re.MULTILINE)
    assert re.findall(r"^(✓ \w+)", verified.out, re.MULTILINE) == checks
    assert "Accepted: item" in verified.out


def _key_of_the_own_function(folder: Path) -> str:
    """The key of the encoder that was started with the page's file; nothing that travels tells it."""
    for one in left_of(folder):
        words = one.cmdline()
        if any("bag_of_words.py" in word for word in words) and "--home" in words:
            home = words[words.index("--home") + 1]
            return str(deltamesh("keys", "show", "--home", home, "--json").json["public_key"])
    raise AssertionError("no encoder runs the function of the page")


def _weights(home: Path) -> dict[str, float]:
    """Each encoder's mean weight so far; empty before the first certified round."""
    if not home.exists():
        return {}
    told = deltamesh("scores", "--home", home, "--json")
    return {row["encoder"]: row["weight"] for row in told.json} if not told.code else {}
