"""A prepared network: its homes fit its genesis, it is made once, and no two encoders take one home."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from config.datadir import DataDir, DataDirLocked
from config.errors import ConfigError
from config.genesis import load_genesis
from config.settings import load_settings
from node.cli.errors import ExitCode
from node.keys import load_key, peer_id
from node.membership import membership_faults
from node.testnet import prepare as preparing
from node.testnet.join import join_testnet
from node.testnet.plan import MODELS, NETWORK
from node.testnet.prepare import CHEAT_FILE, Prepared, homes, prepare_testnet
from protocol.items import canonical_text
from tests.support.cli import deltamesh

WANTED = Prepared(validators=2, encoders=3, cheaters=2, cheats=("zero", "late"))


@pytest.fixture(autouse=True)
def small_corpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Text enough for two validators, read in no time, and short chains."""
    texts = [f"text {number} " + " ".join(f"w{number}x{word}" for word in range(20)) for number in range(160)]
    monkeypatch.setattr(preparing, "CHAIN_LENGTH", 256)
    monkeypatch.setattr(preparing, "installed_prose", lambda _: [canonical_text(text) for text in texts])


def test_prepare__every_home_can_run_as_the_member_genesis_says_it_is(short_path: Path) -> None:
    genesis, is_new = prepare_testnet(short_path, WANTED)
    assert is_new
    names = [str(home.relative_to(short_path)) for home in homes(short_path)]
    assert names == [
        "validator-1",
        "validator-2",
        "encoders/encoder-1",
        "encoders/encoder-2",
        "encoders/encoder-3",
        "cheaters/cheater-1",
        "cheaters/cheater-2",
    ]
    for home in homes(short_path):
        directory = DataDir.existing(home, NETWORK)
        key = load_key(directory.key)
        assert load_genesis(directory.genesis).network_id == genesis.network_id
        assert membership_faults(directory, key, genesis) == []
        member = genesis.validators if home.name.startswith("validator") else genesis.encoders
        assert key.public_key in member


def test_prepare__validators_are_dialled_by_name_where_they_listen(short_path: Path) -> None:
    genesis, _ = prepare_testnet(short_path, WANTED)
    home = short_path / "validator-2"
    key = load_key(DataDir.existing(home, NETWORK).key).public_key
    assert genesis.validators[key].addresses == (f"/dns4/validator-2/tcp/7700/p2p/{peer_id(key)}",)
    assert load_settings({"home": home}, {}).listen == ("/ip4/0.0.0.0/tcp/7700",)


def test_prepare__encoders_run_different_models_and_cheaters_their_cheats(short_path: Path) -> None:
    prepare_testnet(short_path, WANTED)
    models = [load_settings({"home": short_path / f"encoders/encoder-{n}"}, {}).model for n in (1, 2, 3)]
    assert models == list(MODELS[:3])
    cheats = [(short_path / f"cheaters/cheater-{n}" / CHEAT_FILE).read_text().strip() for n in (1, 2)]
    assert cheats == ["zero", "late"]


def test_prepare__a_second_time_keeps_the_network(short_path: Path) -> None:
    first, _ = prepare_testnet(short_path, WANTED)
    again, is_new = prepare_testnet(short_path, WANTED)
    assert not is_new
    assert again.network_id == first.network_id


@pytest.mark.parametrize("last_file", ["genesis.json", "encoders/encoder-2/localnet/genesis.json"])
def test_prepare__interrupted_before_a_file_goes_on_to_one_network(short_path: Path, last_file: str) -> None:
    first, _ = prepare_testnet(short_path, WANTED)
    (short_path / last_file).unlink()
    if last_file == "genesis.json":
        for home in homes(short_path):
            (home / NETWORK / "genesis.json").unlink()
    keys = {home: load_key(DataDir.existing(home, NETWORK).key).public_key for home in homes(short_path)}
    again, _ = prepare_testnet(short_path, WANTED)
    assert again.validators.keys() == first.validators.keys()
    for home, key in keys.items():
        assert load_key(DataDir.existing(home, NETWORK).key).public_key == key
        assert load_genesis(home / NETWORK / "genesis.json").network_id == again.network_id


def test_prepare__a_home_of_another_network_is_refused(short_path: Path) -> None:
    prepare_testnet(short_path / "one", WANTED)
    prepare_testnet(short_path / "two", WANTED)
    stray = short_path / "two/validator-1" / NETWORK / "genesis.json"
    stray.write_bytes((short_path / "one/genesis.json").read_bytes())
    with pytest.raises(ConfigError, match="validator-1 belongs to another network"):
        prepare_testnet(short_path / "two", WANTED)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--encoders", "3", "--cheaters", "3"], "no minority"),
        (["--validators", "4"], "too few for 4 validators"),
        (["--address", "nonsense"], "--address: 'nonsense' is not a TCP multiaddress"),
        (["--set", "slot=5"], "'slot' is no parameter"),
        (["--encoders", "300"], "at most 256 nodes"),
    ],
)
def test_prepare__refuses_what_makes_no_network(short_path: Path, options: list[str], sentence: str) -> None:
    ended = deltamesh("testnet", "prepare", "--dir", short_path / "net", "--validators", 2, *options)
    assert ended.code == ExitCode.BAD_INPUT
    assert sentence in ended.error
    assert not (short_path / "net/genesis.json").exists()


@pytest.mark.parametrize(
    ("option", "value"), [("--cheat", "steal"), ("--modality", "smell"), ("--model", "word2vec")]
)
def test_prepare__refuses_unknown_names(short_path: Path, option: str, value: str) -> None:
    ended = deltamesh("testnet", "prepare", "--dir", short_path / "net", option, value)
    assert ended.code in (ExitCode.USAGE, ExitCode.BAD_INPUT)
    assert value in ended.error


def test_join__many_at_once_never_share_a_home(short_path: Path) -> None:
    genesis, _ = prepare_testnet(short_path, WANTED)
    taken: list[Path] = []
    all_in = threading.Barrier(6, timeout=30)

    def run(home: Path, cheat: str | None) -> None:
        assert cheat is None
        with DataDir.existing(home, NETWORK).lock():
            taken.append(home)
            all_in.wait()

    threads = [
        threading.Thread(
            target=join_testnet, args=(short_path,), kwargs={"cheats": False, "note": None, "run": run}
        )
        for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    all_in.wait()
    for thread in threads:
        thread.join()
    # Three were prepared; the other two made homes of their own, whose keys genesis does not know.
    assert sorted(home.name for home in taken) == [f"encoder-{n}" for n in range(1, 6)]
    keys = [load_key(DataDir.existing(home, NETWORK).key).public_key for home in sorted(taken)]
    assert len(set(keys)) == 5
    assert [key in genesis.encoders for key in keys] == [True, True, True, False, False]


def test_join__takes_the_next_home_when_another_was_faster(short_path: Path) -> None:
    prepare_testnet(short_path, WANTED)
    tried: list[str] = []

    def run(home: Path, cheat: str | None) -> None:
        tried.append(home.name)
        if len(tried) == 1:
            raise DataDirLocked("taken")

    note = short_path / "note"
    join_testnet(short_path, cheats=False, note=note, run=run)
    assert tried == ["encoder-1", "encoder-2"]
    assert note.read_text() == f"{short_path / 'encoders/encoder-2'}\n"


def test_join__a_cheater_cheats_as_its_home_says_and_no_other_way(short_path: Path) -> None:
    prepare_testnet(short_path, WANTED)
    cheats: list[str | None] = []
    join_testnet(short_path, cheats=True, note=None, run=lambda _, cheat: cheats.append(cheat))
    assert cheats == ["zero"]
    (short_path / "cheaters/cheater-1" / CHEAT_FILE).write_text("rm -rf /\n")
    with pytest.raises(ConfigError, match="names no cheater"):
        join_testnet(short_path, cheats=True, note=None, run=lambda _, cheat: cheats.append(cheat))


def test_join__without_a_prepared_network_says_so(short_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no genesis file"):
        join_testnet(short_path, cheats=False, note=None, run=lambda _, __: None)
