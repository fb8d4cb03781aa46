"""What the command line tells an operator who joins a network on other machines."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from node.cli.errors import ExitCode
from node.pool import POOL_FILE_NAME, Pool
from protocol.modalities import IMAGE
from tests.support.cli import Ended, deltamesh
from tests.support.genesis import text_items

REACHED = "/ip4/192.0.2.1/tcp/7700"


def prose(name: str, count: int) -> str:
    """Paragraphs of 20 words: three of them make an item."""
    return "\n\n".join(item.decode() for item in text_items(name, count))


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Text for a small pool."""
    path = tmp_path / "corpus.txt"
    path.write_text(prose("one", 240))
    return path


def card(home: Path, role: str, *options: object) -> tuple[Path, Ended]:
    """A member card in a file, and how `init` ended."""
    ended = deltamesh("init", "--role", role, "--home", home, "--chain-length", 64, *options)
    assert ended.code == 0, ended.err
    path = home.with_suffix(".json")
    path.write_text(ended.out)
    return path, ended


def genesis(tmp_path: Path, corpora: list[Path], *options: object, announce: str | None = REACHED) -> Ended:
    """`genesis create` of validators with these corpora and three encoders."""
    at = ["--announce", announce] if announce else []
    cards = [
        card(tmp_path / f"v{n}", "validator", "--network", "ours", "--data", data, *at)[0]
        for n, data in enumerate(corpora)
    ]
    cards += [card(tmp_path / f"e{n}", "encoder", "--network", "ours")[0] for n in range(3)]
    return deltamesh("genesis", "create", "--to", tmp_path / "genesis.json", *options, *cards)


def test_card__names_the_address_with_its_peer_id(tmp_path: Path, corpus: Path) -> None:
    path, ended = card(
        tmp_path / "h", "validator", "--network", "ours", "--data", corpus, "--announce", REACHED
    )
    (address,) = json.loads(path.read_text())["addresses"]
    assert address.startswith(f"{REACHED}/p2p/12D3KooW")
    assert f"Others find it at {address}." in ended.err


@pytest.mark.parametrize(
    ("announce", "says"),
    [
        ("/ip4/0.0.0.0/tcp/7700", "every address of a machine"),
        ("/ip6/::/tcp/7700", "every address of a machine"),
        ("/ip4/192.0.2.1/tcp/0", "port 0"),
        (f"{REACHED}/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN", "another node"),
    ],
)
def test_announce__that_nobody_can_dial_is_refused(
    tmp_path: Path, corpus: Path, announce: str, says: str
) -> None:
    ended = deltamesh(
        "init", "--role", "validator", "--home", tmp_path / "h", "--data", corpus, "--announce", announce
    )
    assert ended.code == ExitCode.BAD_INPUT
    assert says in ended.error


def test_loopback_listener__with_another_address_is_warned_of(tmp_path: Path, corpus: Path) -> None:
    _, here = card(tmp_path / "a", "validator", "--data", corpus)
    assert "which other machines do not reach" in here.err
    _, elsewhere = card(tmp_path / "b", "validator", "--data", corpus, "--announce", REACHED)
    assert f"nobody reaches it at {REACHED}" in elsewhere.err
    _, named = card(tmp_path / "c", "validator", "--network", "ours", "--data", corpus, "--announce", REACHED)
    assert "listens on" not in named.err


def test_genesis__takes_changed_parameters(tmp_path: Path, corpus: Path) -> None:
    ended = genesis(
        tmp_path, [corpus], "--preset", "localnet", "--set", "slot_ms=13000", "--set", "rule=literal"
    )
    assert ended.code == 0, ended.err
    parameters = json.loads((tmp_path / "genesis.json").read_text())["parameters"]
    assert (parameters["slot_ms"], parameters["rule"], parameters["chain_length"]) == (13000, "literal", 64)
    assert "--bootstrap" not in ended.err


def test_genesis_of_another_modality__takes_its_reference_and_no_other_modalitys(
    tmp_path: Path, corpus: Path
) -> None:
    ended = genesis(tmp_path, [corpus], "--preset", "localnet", "--set", "modality=image")
    assert ended.code == 0, ended.err
    parameters = json.loads((tmp_path / "genesis.json").read_text())["parameters"]
    assert (parameters["modality"], parameters["reference_encoder"]) == ("image", "image-patches")
    changes = ("--set", "modality=image", "--set", "reference_encoder=wordllama-256")
    refused = genesis(tmp_path / "other", [corpus], "--preset", "localnet", *changes)
    assert refused.code == ExitCode.USAGE
    assert "choose one of image-patches" in refused.error


def test_init__of_a_validator_of_pictures_fills_its_pool_with_them(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (80, 64, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pictures" / f"{number}.png")
    (tmp_path / "pictures" / "notes.txt").write_text("no picture")
    asked = ("init", "--role", "validator", "--modality", "image", "--data", tmp_path / "pictures")
    ended = deltamesh(*asked, "--home", tmp_path / "h", "--network", "n")
    assert ended.code == 0, ended.err
    assert "notes.txt" in ended.err or "1 file" in ended.err
    pool = Pool.load(tmp_path / "h" / "n" / POOL_FILE_NAME)
    assert (pool.modality, pool.size) == (IMAGE, 3)
    unknown = deltamesh("init", "--role", "validator", "--modality", "smell", "--home", tmp_path / "x")
    assert unknown.code == ExitCode.USAGE
    assert "use one of text, image" in unknown.error


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("slot_sm=9000", "slot_ms"),
        ("rule=best", "choose one of hardened-5, hardened-4, hardened-3, hardened-2, hardened, literal"),
        ("reference_encoder=mine", "choose one of wordllama-256"),
        ("slot_ms=1", "deadlines of a round add up"),
        ("modality=smell", "choose one of text, image"),
    ],
)
def test_genesis__refuses_parameters_no_network_can_run_by(
    tmp_path: Path, corpus: Path, change: str, says: str
) -> None:
    ended = genesis(tmp_path, [corpus], "--preset", "localnet", "--set", change)
    assert ended.code in (ExitCode.USAGE, ExitCode.BAD_INPUT)
    assert says in ended.error
    assert not (tmp_path / "genesis.json").exists()


def test_genesis__without_an_address_asks_for_bootstrap(tmp_path: Path, corpus: Path) -> None:
    ended = genesis(tmp_path, [corpus], "--preset", "localnet", announce=None)
    assert "--bootstrap ADDR" in ended.err
    assert "no card names any" in ended.err


def test_genesis__warns_of_validators_with_the_same_items(tmp_path: Path, corpus: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text(prose("other", 240))
    ended = genesis(tmp_path, [corpus, corpus, other], "--preset", "localnet")
    assert ended.err.count("challenge with the same items") == 1
    assert "prepare each with text of its own" in ended.err
