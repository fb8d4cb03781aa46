"""The plan of a local network: who runs what, secrets that fit their genesis, refusals with a next step."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from config.datadir import DataDir
from config.errors import ConfigError
from config.genesis import load_genesis
from node.cli.errors import ExitCode
from node.encoders import catalogue, load_encoder
from node.encoders.alignment_store import FOLDER_NAME
from node.keys import load_key, peer_id
from node.membership import membership_faults
from node.testnet import plan as planning
from node.testnet.fleet import Fleet, command_line
from node.testnet.plan import MODELS, NETWORK, Wanted, plan_testnet
from protocol.items import canonical_text
from tests.support.cli import deltamesh

CHEATS = ("zero", "late")


def wanted(**changes: object) -> Wanted:
    values: dict[str, object] = {
        "validators": 3,
        "encoders": 6,
        "cheaters": 2,
        "cheats": CHEATS,
        "data": None,
        "seed": 0,
        **changes,
    }
    return Wanted(**values)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def small_corpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Text enough for three validators, read in no time."""
    texts = [f"text {number} " + " ".join(f"w{number}x{word}" for word in range(20)) for number in range(240)]
    items = [canonical_text(text) for text in texts]
    monkeypatch.setattr(planning, "load_challenge_items", lambda _, __: items)


def test_plan__every_node_can_run_as_the_member_genesis_says_it_is(short_path: Path) -> None:
    plan = plan_testnet(short_path / "net", wanted())
    assert [len(plan.validators), len(plan.encoders), len(plan.nodes)] == [3, 6, 9]
    assert load_genesis(plan.root / "genesis.json").network_id == plan.genesis.network_id
    for node in plan.nodes:
        directory = DataDir.existing(node.home, NETWORK)
        key = load_key(directory.key)
        assert key.public_key == node.public_key
        genesis = load_genesis(directory.genesis)
        assert genesis.network_id == plan.genesis.network_id
        assert membership_faults(directory, key, genesis) == []
        assert node.public_key in (genesis.validators if node.role == "validator" else genesis.encoders)


def test_shards__are_those_wanted_and_no_more_than_dealers(short_path: Path) -> None:
    plan = plan_testnet(short_path / "net", wanted(shards=3, shard_size=4))
    parameters = plan.genesis.parameters
    assert (parameters.shards_per_round, parameters.shard_size) == (3, 4)
    with pytest.raises(ConfigError, match="lower --shards"):
        plan_testnet(short_path / "other", wanted(shards=4))


def test_validators__have_ports_of_their_own_and_share_no_item(short_path: Path) -> None:
    from node.membership import pool_path
    from node.pool import Pool

    plan = plan_testnet(short_path / "net", wanted())
    assert len({node.listen for node in plan.validators}) == 3
    for node in plan.validators:
        (address,) = plan.genesis.validators[node.public_key].addresses
        assert address == f"{node.listen}/p2p/{peer_id(node.public_key)}"
    pools = [Pool.load(pool_path(DataDir.existing(node.home, NETWORK))) for node in plan.validators]
    items = [pool.item(index).data for pool in pools for index in range(pool.size)]
    assert len(items) == len(set(items)) == 240
    assert all(node.listen is None for node in plan.encoders)


def test_casting__deals_out_every_model_and_the_cheats_that_were_asked_for(short_path: Path) -> None:
    plan = plan_testnet(short_path / "net", wanted(encoders=8))
    cheating = [node for node in plan.encoders if node.cheat is not None]
    assert Counter(node.cheat for node in cheating) == Counter(CHEATS)
    honest = [node.model for node in plan.encoders if node.cheat is None]
    assert set(honest) == set(MODELS)


def test_casting__deals_the_models_that_were_asked_for_in_turn_to_the_honest(short_path: Path) -> None:
    plan = plan_testnet(short_path / "net", wanted(encoders=7, models=("ngram", "wordllama-64")))
    honest = Counter(node.model for node in plan.encoders if node.cheat is None)
    assert honest == {"ngram": 3, "wordllama-64": 2}
    assert {node.model for node in plan.encoders if node.cheat is not None} == {MODELS[0]}


def test_learners__are_as_many_as_wanted_of_those_that_run_a_trained_model(
    short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "hand_out_map", lambda *_: None)
    models = ("trained:mine", "wordllama-256")
    plan = plan_testnet(short_path / "net", wanted(models=models, learners=1))
    (learner,) = [node for node in plan.nodes if "--learn" in command_line(node)]
    assert learner.model == "trained:mine"
    assert [node.model for node in plan.encoders].count("trained:mine") == 2
    with pytest.raises(ConfigError, match="3 encoders are to learn and 2 run"):
        plan_testnet(short_path / "other", wanted(models=models, learners=3))


def test_model_that_is_slow_to_fit__is_fitted_once_for_all_who_run_it(
    short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if the n-grams were slow: they need no extra.
    monkeypatch.setattr(planning, "MODELS", ("wordllama-256",))
    steps: list[str] = []
    models = ("ngram", "wordllama-256")
    plan = plan_testnet(short_path / "net", wanted(encoders=6, models=models), steps.append)
    assert steps.count("aligning ngram") == 1
    files = {node.name: list((node.directory / FOLDER_NAME).glob("*.npz")) for node in plan.encoders}
    assert {name for name, found in files.items() if found} == {
        node.name for node in plan.encoders if node.model == "ngram"
    }
    assert len({file.read_bytes() for found in files.values() for file in found}) == 1
    # What a node then finds is what it would have fitted: it fits nothing.
    monkeypatch.setattr(catalogue, "anchor_views", lambda _: [])
    folder = next(found for found in files.values() if found)[0].parent
    reference = plan.genesis.parameters.reference_encoder
    assert load_encoder("ngram", reference, cache_dir=folder).encode(["a view"]).any()


@pytest.mark.parametrize("model", ["minlm", "wordllama"])
def test_unknown_model__is_refused_before_anything_is_made(short_path: Path, model: str) -> None:
    ended = deltamesh("testnet", "up", "--model", "ngram", "--model", model, "--dir", short_path / "net")
    assert ended.code == ExitCode.BAD_INPUT
    assert f"no model `{model}`" in ended.error
    assert not (short_path / "net").exists()


def test_seed__decides_the_casting_and_nothing_secret(short_path: Path) -> None:
    plans = [plan_testnet(short_path / str(n), wanted(seed=seed)) for n, seed in enumerate((1, 1, 2))]
    first, same, other = ([(node.model, node.cheat) for node in plan.encoders] for plan in plans)
    assert first == same
    assert first != other
    keys = [node.public_key for plan in plans for node in plan.nodes]
    assert len(set(keys)) == len(keys)
    assert len({plan.genesis.network_id for plan in plans}) == 3


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"validators": 0}, "raise --validators"),
        ({"encoders": 4, "cheaters": 2}, "leave 2 honest ones"),
        ({"encoders": 6, "cheaters": 3}, "are no minority"),
        ({"encoders": 300}, "at most 256 nodes"),
        ({"validators": 20}, "give more with --data"),
    ],
)
def test_network_that_cannot_work__is_refused_with_the_next_step(
    short_path: Path, changes: dict[str, object], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        plan_testnet(short_path / "net", wanted(**changes))
    assert not (short_path / "net").exists()


def test_folder_that_is_not_empty__is_left_alone(short_path: Path) -> None:
    (short_path / "precious").write_text("mine")
    with pytest.raises(ConfigError, match="is not empty"):
        plan_testnet(short_path, wanted())
    assert [path.name for path in short_path.iterdir()] == ["precious"]


def test_command_line__says_all_a_node_needs_and_no_secret(short_path: Path) -> None:
    plan = plan_testnet(short_path / "net", wanted())
    for node in plan.nodes:
        line = " ".join(command_line(node))
        assert f"run {node.role}" in line
        assert str(node.home) in line
        assert (node.listen or "") in line
        assert (f"--cheat {node.cheat}" in line) == (node.cheat is not None)
        assert load_key(DataDir.existing(node.home, NETWORK).key).seed.hex() not in line


def test_fleet__knows_who_fell_what_it_said_and_leaves_nothing(short_path: Path) -> None:
    plan = plan_testnet(short_path / "net", wanted())
    falls = plan.validators[0].name
    scripts = {falls: "echo 'one'; echo 'last words'; exit 3"}
    with Fleet(plan.nodes, lambda node: ["sh", "-c", scripts.get(node.name, "exec sleep 60")]) as fleet:
        fleet.start_all()
        fleet._processes[falls].wait(10)
        assert fleet.fallen() == {falls: 3}
        assert fleet.last_words(falls, 1) == "last words"
        killed = plan.validators[1].name
        fleet.kill(killed)
        assert fleet.fallen()[killed] == -9
        fleet.start(killed)
        assert killed not in fleet.fallen()
        processes = list(fleet._processes.values())
    assert all(process.poll() is not None for process in processes)
