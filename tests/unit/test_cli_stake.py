"""`deltamesh stake transfer`, and `init` for a validator that joins a network that runs."""

from __future__ import annotations

import json
from pathlib import Path
from shutil import copytree

import pytest

from config.datadir import DataDir
from config.genesis import load_genesis
from config.settings import load_settings
from node.cli.errors import ExitCode
from node.epochs.history import keep_epoch
from node.joining import card_mismatch, signed_card
from node.keys import load_key
from node.member_card import CardError, card_from_text, load_card
from node.membership import MembershipError
from node.run import run_validator
from node.stake_wish import read_wish, write_wish
from node.store import Store
from protocol.cards import card_of, is_signed_by_owner
from protocol.epochs.known import Epochs
from protocol.epochs.view import Epoch
from protocol.messages import AttestationRef, EpochCertificate
from protocol.schedule import ShardRound
from tests.support.cli import Ended, deltamesh
from tests.support.genesis import text_items

REACHED = "/ip4/192.0.2.9/tcp/7700"
OURS = ("--network", "ours")


def corpus(tmp_path: Path, name: str, items: int = 100) -> Path:
    path = tmp_path / f"{name}.txt"
    path.write_text("\n\n".join(item.decode() for item in text_items(name, items)))
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the genesis of four validators, v0 to v3, and three encoders; v0 has joined it."""
    folder = tmp_path_factory.mktemp("made")
    cards = []
    for n in range(4):
        home, text = folder / f"v{n}", corpus(folder, f"text{n}")
        ended = deltamesh(
            *("init", "--role", "validator", "--home", home, *OURS, "--chain-length", 64, "--data", text)
        )
        assert ended.code == 0, ended.err
        cards.append(home.with_suffix(".json"))
        cards[-1].write_text(ended.out)
    for n in range(3):
        home = folder / f"e{n}"
        cards.append(home.with_suffix(".json"))
        cards[-1].write_text(deltamesh("init", "--role", "encoder", "--home", home, *OURS).out)
    genesis = folder / "genesis.json"
    create = ("genesis", "create", "--to", genesis, "--preset", "localnet", "--set", "scored_items=16")
    ended = deltamesh(*create, *cards)
    assert ended.code == 0, ended.err
    assert deltamesh("init", "--genesis", genesis, "--home", folder / "v0", *OURS).code == 0
    return folder


@pytest.fixture
def network(made: Path, tmp_path: Path) -> Path:
    """The genesis file of a copy of it."""
    copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path / "genesis.json"


def joins(tmp_path: Path, genesis: Path, name: str = "new", *, items: int = 100) -> tuple[Path, Ended]:
    """A newcomer's card in a file, and how `init` ended."""
    ended = deltamesh(
        *("init", "--role", "validator", "--genesis", genesis, "--home", tmp_path / name, *OURS),
        *("--data", corpus(tmp_path, name, items), "--announce", REACHED),
    )
    path = tmp_path / f"{name}.json"
    path.write_text(ended.out)
    return path, ended


def give(tmp_path: Path, *options: object) -> Ended:
    return deltamesh("stake", "transfer", "--home", tmp_path / "v0", *OURS, *options)


def directory(tmp_path: Path, name: str) -> DataDir:
    return DataDir(tmp_path / name / "ours")


# -- a newcomer's card -------------------------------------------------------------------------------------


def test_init_of_a_newcomer__makes_a_card_signed_for_the_network(tmp_path: Path, network: Path) -> None:
    path, ended = joins(tmp_path, network)
    assert ended.code == 0, ended.err
    genesis, card = load_genesis(network), load_card(path)
    assert card.network_id == genesis.network_id
    assert card.chain_length == genesis.parameters.chain_length == 64
    signed = signed_card(card, genesis)
    assert is_signed_by_owner(genesis.network_id, signed)
    assert signed.card.public_key == load_key(directory(tmp_path, "new").key).public_key
    assert signed.card.addresses[0].startswith(REACHED)
    assert "deltamesh stake transfer --to FILE" in ended.err
    assert "deltamesh run validator" in ended.err
    # Told twice, it is the same card; told without the file too.
    again = deltamesh("init", "--role", "validator", "--home", tmp_path / "new", *OURS, "--announce", REACHED)
    assert again.out == path.read_text()


def test_init_of_a_newcomer__refuses_a_pool_no_batch_can_be_dealt_from(tmp_path: Path, network: Path) -> None:
    _, ended = joins(tmp_path, network, items=10)
    assert ended.code == ExitCode.BAD_INPUT
    assert "too few" in ended.error


def test_init_of_an_encoders_key__is_no_validators(tmp_path: Path, network: Path) -> None:
    assert deltamesh("init", "--genesis", network, "--home", tmp_path / "e0", *OURS).code == 0
    ended = deltamesh("init", "--role", "validator", "--home", tmp_path / "e0", *OURS)
    assert ended.code == ExitCode.NODE_STATE


def test_card__says_all_or_nothing_of_the_network_it_is_for(tmp_path: Path, network: Path) -> None:
    path, _ = joins(tmp_path, network)
    document = json.loads(path.read_text())
    with pytest.raises(CardError, match="do not belong together"):
        card_from_text(json.dumps({**document, "signature": ""}))
    with pytest.raises(CardError, match="do not belong together"):
        card_from_text(json.dumps({k: v for k, v in document.items() if k != "network_id"}))
    plain = {k: v for k, v in document.items() if k not in ("network_id", "signature")}
    with pytest.raises(MembershipError, match="wants to join this network"):
        signed_card(card_from_text(json.dumps(plain)), load_genesis(network))
    with pytest.raises(MembershipError, match="an encoder's"):
        signed_card(load_card(tmp_path / "e0.json"), load_genesis(network))


def test_prepared_files__that_are_not_the_cards_cannot_deal(tmp_path: Path, network: Path) -> None:
    path, _ = joins(tmp_path, network)
    card = signed_card(load_card(path), load_genesis(network)).card
    bare = card_of(card.as_member(1)).__class__(
        card.public_key, (), card.pool_root, card.pool_size, card.chain_tip
    )
    assert card_mismatch(bare, card.as_member(5)) is None
    for change, says in ((bytes(32), "hash chain"), (card.chain_tip, "pool")):
        other = bare.__class__(card.public_key, (), bytes(32), card.pool_size, change)
        assert says in str(card_mismatch(other, card.as_member(5)))


@pytest.mark.parametrize(("name", "says"), [("e0", "run encoder"), ("stranger", "was not prepared")])
def test_run_validator__refuses_a_key_that_cannot_become_one(
    tmp_path: Path, network: Path, name: str, says: str
) -> None:
    assert deltamesh("init", "--genesis", network, "--home", tmp_path / name, *OURS).code == 0
    settings = load_settings({"home": tmp_path / name, "network": "ours"}, environment={})
    with pytest.raises(MembershipError, match=says):
        run_validator(settings)


# -- giving stake ------------------------------------------------------------------------------------------


def test_transfer__leaves_a_wish_for_the_running_validator(tmp_path: Path, network: Path) -> None:
    path, _ = joins(tmp_path, network)
    genesis = load_genesis(network)
    ended = give(tmp_path, "--to", path, "--amount", 25)
    assert ended.code == 0, ended.err
    wish = read_wish(directory(tmp_path, "v0"), genesis.network_id)
    assert wish is not None
    assert (wish.amount, wish.said_in) == (25, ())
    assert wish.card == (signed_card(load_card(path), genesis),)
    again = give(tmp_path, "--to", path, "--amount", 25)
    assert again.code == ExitCode.NODE_STATE
    assert "under way" in again.error
    assert give(tmp_path, "--undo").code == 0
    assert read_wish(directory(tmp_path, "v0"), genesis.network_id) is None


def test_transfer_to_a_validator__needs_its_key_or_card_and_brings_no_card(
    tmp_path: Path, network: Path
) -> None:
    genesis = load_genesis(network)
    key = load_key(directory(tmp_path, "v1").key).public_key
    for to in (key.hex(), tmp_path / "v1.json"):
        assert give(tmp_path, "--to", to, "--amount", 10).code == 0
        wish = read_wish(directory(tmp_path, "v0"), genesis.network_id)
        assert wish is not None
        assert (wish.to, wish.card) == (key, ())
        assert give(tmp_path, "--undo").code == 0


def test_transfer_that_was_said__cannot_be_taken_back(tmp_path: Path, network: Path) -> None:
    path, _ = joins(tmp_path, network)
    assert give(tmp_path, "--to", path, "--amount", 25).code == 0
    wish = read_wish(directory(tmp_path, "v0"), load_genesis(network).network_id)
    assert wish is not None
    write_wish(directory(tmp_path, "v0"), wish.__class__(wish.network_id, wish.to, 25, wish.card, (3,)))
    ended = give(tmp_path, "--undo")
    assert ended.code == ExitCode.NODE_STATE
    assert "known to others" in ended.error


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (("--amount", 10), ExitCode.USAGE, "--to whom"),
        (("--to", "{new}"), ExitCode.USAGE, "--amount"),
        (("--to", "{new}", "--amount", 100), ExitCode.BAD_INPUT, "leaves its giver less than"),
        (("--to", "{new}", "--amount", 60), ExitCode.BAD_INPUT, "may be on its way"),
        (("--to", "{e0}", "--amount", 10), ExitCode.BAD_INPUT, "an encoder's"),
        (("--to", "{v0}", "--amount", 10), ExitCode.BAD_INPUT, "its own signer"),
        (("--to", "ab" * 32, "--amount", 10), ExitCode.BAD_INPUT, "is no validator yet"),
        (("--to", "{nothing}", "--amount", 10), ExitCode.BAD_INPUT, "cannot read the card"),
    ],
)
def test_transfer_no_record_would_hold__is_refused_at_once(
    tmp_path: Path, network: Path, options: tuple[object, ...], code: ExitCode, says: str
) -> None:
    joins(tmp_path, network)
    names = {name: tmp_path / f"{name}.json" for name in ("new", "e0", "v0", "nothing")}
    ended = give(tmp_path, *(str(one).format(**names) for one in options))
    assert ended.code == code
    assert says in ended.error
    assert read_wish(directory(tmp_path, "v0"), load_genesis(network).network_id) is None


def test_leave__tells_a_validator_how_it_leaves(tmp_path: Path, network: Path) -> None:
    ended = deltamesh("leave", "--home", tmp_path / "v0", *OURS)
    assert ended.code == ExitCode.NODE_STATE
    assert "deltamesh stake transfer" in ended.error


# -- what is shown -----------------------------------------------------------------------------------------


def test_epochs_show__tells_who_joined_and_what_is_on_its_way(tmp_path: Path) -> None:
    from config.genesis import save_genesis
    from tests.support.records import GENESIS, VALIDATORS, Story, newcomer, transfer

    told, new = Story(), newcomer(0)
    told.go_on(told.known(transfers=[transfer(VALIDATORS[0], new, 20, 0)]))
    told.go_on(told.known(transfers=[transfer(VALIDATORS[1], VALIDATORS[0], 7, 1)]))
    home = DataDir.open(tmp_path / "v", "localnet")
    save_genesis(home.genesis, GENESIS)
    epochs = Epochs(GENESIS)
    with Store.open(home.store, home.blobs) as store:
        for epoch in told.taken:
            epochs.add(epoch)
            votes = (AttestationRef(bytes(32), bytes(64)),)
            keep_epoch(store, epoch, EpochCertificate(ShardRound(0, 3, 0), epoch.number, epoch.digest, votes))
    shown = deltamesh("epochs", "show", 2, "--home", tmp_path / "v", "--json").json
    assert {one["validator"]: one["stake"] for one in shown["members"] if one["joined"]} == {new.hex(): 20}
    (held,) = shown["transfers"]
    assert (held["giver"], held["to"], held["amount"]) == (VALIDATORS[1].hex(), VALIDATORS[0].hex(), 7)
    assert isinstance(epochs.newest, Epoch)
    text = deltamesh("epochs", "show", 2, "--home", tmp_path / "v").out
    assert "Stake on its way" in text
    assert "later" in text
