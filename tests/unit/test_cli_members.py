"""From nothing to a network: init, cards, genesis, keys."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path

import pytest

from config.genesis import load_genesis
from config.settings import load_settings
from node.cli.errors import ExitCode
from node.cli.genesis import start_ms
from node.keys import load_key
from node.member_card import card_from_text
from protocol.genesis import ValidatorMember
from tests.support.cli import deltamesh, directory_of, short_texts

ADDRESS = "/ip4/192.0.2.1/tcp/7700"
PEER = f"{ADDRESS}/p2p/12D3KooWGK1diEnwvfDyunQjHxjgoxtqf47ck6ZNphmZtmRng5py"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 paragraphs fit to challenge with: more than a batch of the testnet preset."""
    path = tmp_path_factory.mktemp("corpus") / "corpus.txt"
    numerals = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    words = [f"{a}-{b}-{c}" for a in numerals for b in numerals for c in numerals[:3]]
    filler = "is a word that stands among many other words of this quite ordinary sentence about nothing else"
    more = (
        "so that it is long enough for an item of its own and need not be joined with another paragraph "
        "before or after it in the file"
    )
    path.write_text("\n\n".join(f"Here {word} {filler} at all, {more}." for word in words))
    return path


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Path:
    """Homes v0, v1, e0 .. e7 of prepared members, a card of each, and the genesis made of the cards."""
    folder = tmp_path_factory.mktemp("members")
    cards = []
    for name, role, more in [
        *((f"v{n}", "validator", ["--data", corpus, "--chain-length", 120]) for n in range(2)),
        *((f"e{n}", "encoder", []) for n in range(8)),
    ]:
        ended = deltamesh("init", "--role", role, "--home", folder / name, *more)
        assert ended.code == 0, ended.err
        card = folder / f"{name}.json"
        card.write_text(ended.out)
        cards.append(card)
    to = folder / "genesis.json"
    made = deltamesh("genesis", "create", "--card", *cards, "--to", to, "--name", "demo")
    assert made.code == 0, made.err
    assert made.out.strip() == load_genesis(to).network_id.hex()
    return folder


@pytest.fixture
def genesis(members: Path, tmp_path: Path) -> Path:
    """The genesis file, with the homes of its members and their cards beside it, all of this test alone."""
    shutil.copytree(members, tmp_path, dirs_exist_ok=True)
    return tmp_path / "genesis.json"


def files_in(folder: Path) -> dict[str, bytes]:
    """Every file but the lock, which names the process."""
    files = [path for path in folder.iterdir() if path.is_file() and path.name != "lock"]
    return {path.name: path.read_bytes() for path in files}


def test_init__prints_the_card_alone_and_says_what_comes_next(tmp_path: Path, corpus: Path) -> None:
    ended = deltamesh(
        *("init", "--role", "validator", "--home", tmp_path / "h", "--data", corpus, "--announce", ADDRESS)
    )
    card = card_from_text(ended.out)
    assert isinstance(card.member, ValidatorMember)
    assert card.member.public_key == load_key(directory_of(tmp_path / "h").key).public_key
    assert card.member.addresses == (f"{ADDRESS}/p2p/{load_key(directory_of(tmp_path / 'h').key).peer_id}",)
    assert card.member.pool_size >= 256
    assert (tmp_path / "h/localnet/card.json").read_text() == ended.out
    assert "deltamesh genesis create --card" in ended.err
    assert "deltamesh init --genesis" in ended.err
    assert "deltamesh run validator" in ended.err


def test_init_again__changes_no_secret_and_makes_the_same_card(tmp_path: Path, corpus: Path) -> None:
    arguments = ("init", "--role", "validator", "--home", tmp_path / "h", "--data", corpus)
    first = deltamesh(*arguments)
    folder = tmp_path / "h/localnet"
    before = files_in(folder)
    again = deltamesh("init", "--home", tmp_path / "h")
    assert again.out == first.out
    assert "kept as it is" in again.err
    assert files_in(folder) == before
    for name in ("key", "chain.seed", "pool.msgpack", "card.json"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600


def test_init_without_a_role__asks_for_one(tmp_path: Path) -> None:
    ended = deltamesh("init", "--home", tmp_path)
    assert ended.code == ExitCode.USAGE
    assert "--role validator" in ended.error


def test_other_role__needs_another_home(tmp_path: Path) -> None:
    deltamesh("init", "--role", "encoder", "--home", tmp_path)
    ended = deltamesh("init", "--role", "validator", "--home", tmp_path)
    assert ended.code == ExitCode.NODE_STATE
    assert "another --home" in ended.error
    assert not (tmp_path / "localnet/pool.msgpack").exists()


def test_member__joins_and_is_told_how_to_start(tmp_path: Path, genesis: Path) -> None:
    for name, role in [("v0", "validator"), ("e3", "encoder")]:
        home = tmp_path / name
        ended = deltamesh("init", "--genesis", genesis, "--home", home, "--bootstrap", PEER, "--json")
        assert ended.code == 0, ended.err
        assert (ended.json["role"], ended.json["member"]) == (role, True)
        assert f"deltamesh run {role} --home {home}" in ended.err
        assert load_settings({"home": str(home)}, {}).bootstrap == (PEER,)
        assert load_genesis(directory_of(home).genesis).network_id == load_genesis(genesis).network_id
        assert deltamesh("init", "--genesis", genesis, "--home", home).code == 0


def test_stranger__is_told_how_to_become_a_member(tmp_path: Path, genesis: Path) -> None:
    ended = deltamesh("init", "--genesis", genesis, "--home", tmp_path / "stranger", "--json")
    assert ended.code == 0
    assert ended.json["member"] is False
    assert "deltamesh run encoder" in ended.err
    assert "deltamesh init --role validator" in ended.err


def test_genesis_of_another_network__is_never_overwritten(tmp_path: Path, genesis: Path) -> None:
    deltamesh("init", "--genesis", genesis, "--home", tmp_path / "v0")
    kept = directory_of(tmp_path / "v0").genesis.read_bytes()
    other = tmp_path / "other.json"
    cards = sorted(tmp_path.glob("[ve]?.json"))
    assert deltamesh("genesis", "create", *cards, "--to", other).code == 0
    ended = deltamesh("init", "--genesis", other, "--home", tmp_path / "v0")
    assert ended.code == ExitCode.NODE_STATE
    assert "belongs to network" in ended.error
    assert directory_of(tmp_path / "v0").genesis.read_bytes() == kept


def test_validator_with_another_chain__is_not_let_in(tmp_path: Path, genesis: Path) -> None:
    (tmp_path / "v0/localnet/chain.seed").write_text("00" * 32)
    ended = deltamesh("init", "--genesis", genesis, "--home", tmp_path / "v0")
    assert ended.code == ExitCode.BAD_INPUT
    assert "hash chain is not the one" in ended.error
    assert not (tmp_path / "v0/localnet/genesis.json").exists()


def test_wrong_role_for_the_key__is_refused(tmp_path: Path, genesis: Path) -> None:
    ended = deltamesh("init", "--role", "encoder", "--genesis", genesis, "--home", tmp_path / "v0")
    assert ended.code == ExitCode.BAD_INPUT
    assert "one of the validators" in ended.error


def test_edited_settings__are_kept_and_added_to(tmp_path: Path) -> None:
    deltamesh("init", "--role", "encoder", "--home", tmp_path)
    config = tmp_path / "localnet/config.toml"
    config.write_text("# mine\nthreads = 2\n")
    assert deltamesh("init", "--home", tmp_path, "--bootstrap", PEER).code == 0
    assert "# mine\nthreads = 2\n" in config.read_text()
    settings = load_settings({"home": str(tmp_path)}, {})
    assert (settings.threads, settings.bootstrap) == (2, (PEER,))
    written = config.read_text()
    ended = deltamesh("init", "--home", tmp_path, "--bootstrap", PEER.replace("7700", "7701"))
    assert ended.code == ExitCode.BAD_INPUT
    assert "another value for 'bootstrap'" in ended.error
    assert config.read_text() == written


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["--bootstrap", "nowhere"], ExitCode.BAD_INPUT, "multiaddress"),
        (["--bootstrap", ADDRESS], ExitCode.BAD_INPUT, "names no peer"),
        (["--network", "../x"], ExitCode.BAD_INPUT, "network"),
        (["--data", "/none/such"], ExitCode.BAD_INPUT, "does not exist"),
        (["--genesis", "/none/such"], ExitCode.BAD_INPUT, "no genesis file"),
        (["--stake", "0"], ExitCode.BAD_INPUT, "stake"),
    ],
)
def test_bad_input_of_init__is_one_sentence(
    tmp_path: Path, arguments: list[str], code: ExitCode, reason: str
) -> None:
    ended = deltamesh("init", "--role", "validator", "--home", tmp_path, *arguments)
    assert ended.code == code
    assert reason in ended.error


def test_genesis_show__prints_members_and_parameters(tmp_path: Path, genesis: Path) -> None:
    shown = deltamesh("genesis", "show", genesis)
    loaded = load_genesis(genesis)
    assert loaded.network_id.hex() in shown.out
    assert all(key.hex()[:8] in shown.out for key in [*loaded.validators, *loaded.encoders])
    assert deltamesh("genesis", "show", genesis, "--json").json == json.loads(genesis.read_text())
    assert loaded.parameters.chain_length == 120


def test_genesis_create__overwrites_nothing_and_names_the_odd_card(tmp_path: Path, genesis: Path) -> None:
    cards = sorted(tmp_path.glob("[ve]?.json"))
    ended = deltamesh("genesis", "create", *cards, "--to", genesis)
    assert (ended.code, "not overwritten" in ended.error) == (ExitCode.BAD_INPUT, True)
    assert deltamesh("genesis", "create", "--to", tmp_path / "x").code == ExitCode.USAGE
    ended = deltamesh("genesis", "create", genesis, "--to", tmp_path / "x")
    assert "no member card" in ended.error
    odd = json.loads(cards[-1].read_text()) | {"chain_length": 121}
    cards[-1].write_text(json.dumps(odd))
    ended = deltamesh("genesis", "create", *cards, "--to", tmp_path / "x")
    assert "--chain-length 120" in ended.error
    assert not (tmp_path / "x").exists()


def test_genesis_create__of_pictures_serves_as_many_as_a_wave_holds_and_says_so(genesis: Path) -> None:
    cards, to = sorted(genesis.parent.glob("[ve]?.json")), genesis.parent / "pictures.json"
    ended = deltamesh("genesis", "create", "--card", *cards, "--to", to, "--set", "modality=image")
    assert ended.code == 0, ended.err
    parameters = load_genesis(to).parameters
    assert (parameters.scored_items, parameters.served_items_max) == (256, 192)
    assert parameters.reference_encoder == "image-patches"
    assert "served_items_max is 192, not 256" in ended.err
    asked = ["--set", "modality=image", "--set", "served_items_max=256"]
    refused = deltamesh("genesis", "create", "--card", *cards, "--to", genesis.parent / "x", *asked)
    assert refused.code != 0
    assert "serve fewer" in refused.error


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("+90s", 90_000),
        ("+2m", 120_000),
        ("+1h", 3_600_000),
        ("+1d", 86_400_000),
        ("2001-09-09T01:46:40", 999_999_999_000),
        ("2001-09-09T01:46:40Z", 999_999_999_000),
        ("2001-09-09T02:46:40+01:00", 999_999_999_000),
    ],
)
def test_start__is_relative_or_iso(text: str, milliseconds: int) -> None:
    assert start_ms(text, 1_000) == 1_000 + milliseconds


@pytest.mark.parametrize("text", ["soon", "+2", "+m", "-2m", "1960-01-01T00:00:00"])
def test_other_start__is_wrong_usage(tmp_path: Path, genesis: Path, text: str) -> None:
    cards = sorted(tmp_path.glob("[ve]?.json"))
    ended = deltamesh("genesis", "create", *cards, "--to", tmp_path / "x", "--start", text)
    assert ended.code == ExitCode.USAGE
    assert "--start" in ended.error


def test_keys__are_made_once_and_shown_without_the_secret(tmp_path: Path) -> None:
    made = deltamesh("keys", "new", "--home", tmp_path)
    key = load_key(directory_of(tmp_path).key)
    assert made.code == 0
    again = deltamesh("keys", "new", "--home", tmp_path)
    assert (again.code, "never overwritten" in again.error) == (ExitCode.BAD_INPUT, True)
    shown = deltamesh("keys", "show", "--home", tmp_path, "--json")
    assert shown.json["public_key"] == key.public_key.hex()
    assert shown.json["peer_id"] == key.peer_id
    for ended in (made, again, shown, deltamesh("keys", "show", "--home", tmp_path)):
        assert key.seed.hex() not in ended.out + ended.err


def test_wide_key__is_refused_with_the_command_that_closes_it(tmp_path: Path) -> None:
    deltamesh("keys", "new", "--home", tmp_path)
    key = directory_of(tmp_path).key
    key.chmod(0o640)
    ended = deltamesh("keys", "show", "--home", tmp_path)
    assert ended.code == ExitCode.BAD_INPUT
    assert f"chmod 600 {key}" in ended.error


def test_locked_directory__is_left_alone(tmp_path: Path) -> None:
    directory = directory_of(tmp_path)
    with directory.lock():
        for arguments in (["init", "--role", "encoder"], ["keys", "new"]):
            ended = deltamesh(*arguments, "--home", tmp_path)
            assert ended.code == ExitCode.NODE_STATE
            assert "in use by process" in ended.error
    assert not directory.key.exists()


def test_wrong_settings_key__is_named_with_the_nearest(tmp_path: Path) -> None:
    directory = directory_of(tmp_path)
    directory.config.write_text("\nbootstrp = []\n")
    ended = deltamesh("keys", "new", "--home", tmp_path)
    assert ended.code == ExitCode.BAD_INPUT
    assert "config.toml line 2" in ended.error
    assert "did you mean 'bootstrap'" in ended.error
    assert not directory.key.exists()


def test_corpus_of_test__is_long_enough(corpus: Path) -> None:
    assert len(corpus.read_text().split("\n\n")) == 300
    assert short_texts(2).count("\n\n") == 1
