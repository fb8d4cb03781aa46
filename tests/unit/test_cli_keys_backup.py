"""`deltamesh keys backup` and `restore`: all comes back, nothing is overwritten, no secret lies open."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from config.datadir import DataDir
from config.genesis import save_genesis
from node.backup.restored import restored_path
from node.backup.sealed import Cost
from node.cli.errors import ExitCode
from node.clock import now_ms
from node.keys import NodeKey, write_key
from node.membership import chain_path, pool_path
from node.pool import Pool
from node.private_file import write_once
from node.signer import Signer, SignerRolledBack, VoteSlot
from protocol.schedule import round_at
from tests.support.cli import Ended, deltamesh
from tests.support.genesis import small_network

PASSPHRASE = "a passphrase of this test"


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.backup.sealed.Cost", lambda: Cost(1, 8_192))


@pytest.fixture
def node(tmp_path: Path) -> DataDir:
    """A validator that has voted in round 7."""
    genesis, validators, _ = small_network(2, 3, items=2)
    me = validators[0]
    directory = DataDir.open(tmp_path / "old", "ours")
    write_key(directory.key, NodeKey(me.seed))
    Pool.create(pool_path(directory), me.pool)
    write_once(chain_path(directory), me.seed.hex().encode() + b"\n", "a chain")
    directory.card.write_text("{}")
    save_genesis(directory.genesis, genesis)
    directory.config.write_text('log_level = "debug"\n')
    with Signer.open(directory.signer, me.seed, genesis.network_id, first_round=7) as signer:
        signer.sign(VoteSlot("report", 0, 7, 0), b"1" * 32)
    return directory


@pytest.fixture
def passphrase(tmp_path: Path) -> Path:
    path = tmp_path / "passphrase"
    path.write_text(PASSPHRASE + "\nanother line\n")
    path.chmod(0o600)
    return path


def backed_up(directory: DataDir, to: Path, *options: object, stdin: str | None = None) -> Ended:
    home = ("--home", directory.root.parent, "--network", "ours")
    return deltamesh("keys", "backup", "--to", to, *home, *options, stdin=stdin)


def files(directory: DataDir) -> dict[str, bytes]:
    names = ("key", "chain.seed", "pool.msgpack", "genesis.json", "config.toml", "card.json")
    return {name: (directory.root / name).read_bytes() for name in names}


def test_restored_node__is_the_one_backed_up_and_private(
    node: DataDir, passphrase: Path, tmp_path: Path
) -> None:
    file = tmp_path / "backup"
    done = backed_up(node, file, "--passphrase-file", passphrase, "--json")
    assert done.code == 0, done.err
    assert done.json["signed_rounds"] == 8
    assert file.stat().st_mode & 0o777 == 0o600
    secrets = (node.key.read_bytes().strip(), bytes.fromhex(node.key.read_text()), PASSPHRASE.encode())
    assert not any(secret in file.read_bytes() for secret in secrets)

    # Without --network it is called as it was.
    told = deltamesh(
        *("keys", "restore", file, "--passphrase-file", passphrase, "--home", tmp_path / "new", "--json")
    )
    assert told.code == 0, told.err
    new = DataDir(tmp_path / "new" / "ours")
    assert told.json["directory"] == str(new.root)
    assert files(new) == files(node)
    for path in new.root.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path
    assert restored_path(new).exists()


def test_restored_signer__waits_for_rounds_that_began_until_now(
    node: DataDir, passphrase: Path, tmp_path: Path
) -> None:
    file = tmp_path / "backup"
    backed_up(node, file, "--passphrase-file", passphrase)
    told = deltamesh(
        *("keys", "restore", file, "--passphrase-file", passphrase, "--home", tmp_path / "new", "--json")
    )
    genesis, validators, _ = small_network(2, 3, items=2)
    now = round_at(genesis, now_ms())
    assert now <= told.json["no_vote_up_to_round"] <= now + 1
    # Not even with a clock that is years behind.
    new = DataDir(tmp_path / "new" / "ours")
    with pytest.raises(SignerRolledBack):
        Signer.open(new.signer, validators[0].seed, genesis.network_id, first_round=8)


def test_restore__overwrites_nothing(node: DataDir, passphrase: Path, tmp_path: Path) -> None:
    file = tmp_path / "backup"
    backed_up(node, file, "--passphrase-file", passphrase)
    again = backed_up(node, file, "--passphrase-file", passphrase)
    assert again.code == ExitCode.BAD_INPUT
    assert "not overwritten" in again.error

    before = files(node)
    where = ("--passphrase-file", passphrase, "--home", node.root.parent, "--network", "ours")
    ended = deltamesh("keys", "restore", file, *where)
    assert ended.code == ExitCode.NODE_STATE
    assert "never overwritten" in ended.error
    # Without its key the directory still holds what the key has signed.
    node.key.rename(tmp_path / "key")
    ended = deltamesh("keys", "restore", file, *where)
    assert ended.code == ExitCode.NODE_STATE
    assert "has signed" in ended.error
    (tmp_path / "key").rename(node.key)
    assert files(node) == before


def test_restore__refuses_another_nodes_secrets_and_goes_on_after_a_crash(
    node: DataDir, passphrase: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "backup"
    backed_up(node, file, "--passphrase-file", passphrase)
    where = ("--passphrase-file", passphrase, "--home", tmp_path / "new", "--network", "ours")
    new = DataDir.open(tmp_path / "new", "ours")
    chain_path(new).write_text("00" * 32)
    ended = deltamesh("keys", "restore", file, *where)
    assert ended.code == ExitCode.NODE_STATE
    assert "not the backup's" in ended.error
    assert not new.key.exists()
    chain_path(new).unlink()

    with monkeypatch.context() as patched:

        def crash(*_: object) -> None:
            raise KeyboardInterrupt

        patched.setattr("node.backup.restoring.write_key", crash)
        assert deltamesh("keys", "restore", file, *where).code != 0
    assert not new.key.exists()
    assert deltamesh("keys", "restore", file, *where).code == 0
    assert files(new) == files(node)


def test_words__make_a_passphrase_that_is_shown_once_and_typed_at_restore(
    node: DataDir, tmp_path: Path
) -> None:
    file = tmp_path / "backup"
    done = backed_up(node, file, "--words")
    words = done.out.strip()
    assert len(words.split()) == 8
    wrong = deltamesh("keys", "restore", file, "--home", tmp_path / "new", stdin="something else\n")
    assert wrong.code == ExitCode.BAD_INPUT
    assert "does not open" in wrong.err
    right = deltamesh("keys", "restore", file, "--home", tmp_path / "new", stdin=words + "\n")
    assert right.code == 0, right.err
    assert "watches two more" in right.err


def test_typed_passphrase__is_asked_for_twice_and_not_short(node: DataDir, tmp_path: Path) -> None:
    done = backed_up(node, tmp_path / "one", stdin=f"{PASSPHRASE}\n{PASSPHRASE}\n")
    assert done.code == 0, done.err
    short = backed_up(node, tmp_path / "two", stdin="short\nshort\n")
    assert short.code == ExitCode.BAD_INPUT
    assert "soon guessed" in short.err
    assert not (tmp_path / "two").exists()


@pytest.mark.parametrize("name", ["key", "chain.seed", "pool.msgpack", "passphrase"])
def test_secret_open_to_others__is_refused(
    node: DataDir, passphrase: Path, tmp_path: Path, name: str
) -> None:
    path = passphrase if name == "passphrase" else node.root / name
    path.chmod(0o640)
    ended = backed_up(node, tmp_path / "backup", "--passphrase-file", passphrase)
    assert ended.code == ExitCode.BAD_INPUT
    assert "open to other users" in ended.error
    assert not (tmp_path / "backup").exists()


def test_paper__gives_the_key_back_and_nothing_else(node: DataDir, tmp_path: Path) -> None:
    home = ("--home", node.root.parent, "--network", "ours")
    words = deltamesh("keys", "backup", "--paper", *home, "--json").json["words"]
    assert len(words) == 24
    shown = deltamesh("keys", "backup", "--paper", *home)
    assert all(word in shown.out for word in words)
    ended = deltamesh(
        *("keys", "restore", "--paper", "--home", tmp_path / "new", "--network", "ours"),
        stdin=" ".join(words) + "\n",
    )
    assert ended.code == 0, ended.err
    new = DataDir(tmp_path / "new" / "ours")
    assert new.key.read_bytes() == node.key.read_bytes()
    assert restored_path(new).exists()
    assert not new.genesis.exists()


def test_backup__says_when_nobody_can_tell_what_was_signed(
    node: DataDir, passphrase: Path, tmp_path: Path
) -> None:
    node.signer.with_name(node.signer.name + ".watermark").unlink()
    ended = backed_up(node, tmp_path / "backup", "--passphrase-file", passphrase)
    assert ended.code == ExitCode.BAD_INPUT
    assert "start the node once" in ended.error


@pytest.mark.parametrize(
    "arguments",
    [
        ("backup",),
        ("backup", "--paper", "--words"),
        ("backup", "--to", "x", "--words", "--passphrase-file", "y"),
        ("restore",),
        ("restore", "x", "--paper"),
    ],
    ids=" ".join,
)
def test_usage__is_told(node: DataDir, arguments: tuple[str, ...]) -> None:
    ended = deltamesh("keys", *arguments, "--home", node.root.parent, "--network", "ours")
    assert ended.code == ExitCode.USAGE


def test_outputs_of_json__hold_no_secret(node: DataDir, passphrase: Path, tmp_path: Path) -> None:
    done = backed_up(node, tmp_path / "backup", "--passphrase-file", passphrase, "--json")
    assert node.key.read_text().strip() not in json.dumps(done.json)
    assert PASSPHRASE not in done.out + done.err


def test_passphrase__is_the_same_however_a_keyboard_writes_it(node: DataDir, tmp_path: Path) -> None:
    composed, decomposed = "Schl\u00fcssel am Haken", "Schlu\u0308ssel am Haken "
    assert backed_up(node, tmp_path / "backup", stdin=f"{composed}\n{composed}\n").code == 0
    ended = deltamesh(
        *("keys", "restore", tmp_path / "backup", "--home", tmp_path / "new"), stdin=f"{decomposed}\n"
    )
    assert ended.code == 0, ended.err
