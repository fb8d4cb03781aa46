"""Settings: precedence, origins, and one clear sentence for every mistake."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import ConfigError
from config.settings import KEYS_OF_PRESETS, Settings, load_settings

PEER = "12D3KooWRawPbxPtP1eZaJpumGnyWX2DcUyd3RQnydr3eAto4Az7"


def environment(home: Path, **values: str) -> dict[str, str]:
    return {"DELTAMESH_HOME": str(home)} | {
        f"DELTAMESH_{key.upper()}": value for key, value in values.items()
    }


def write_config(home: Path, text: str, network: str = "localnet") -> Path:
    path = home / network / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def refusal(*args: object, **kwargs: object) -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings(*args, **kwargs)  # type: ignore[arg-type]
    message = str(caught.value)
    assert "\n" not in message, "one sentence, one line"
    return message


@given(st.tuples(st.booleans(), st.booleans(), st.booleans()))
def test_threads__comes_from_the_first_place_that_sets_it(
    tmp_path_factory: pytest.TempPathFactory, given_in: tuple[bool, bool, bool]
) -> None:
    home = tmp_path_factory.mktemp("home")
    in_flag, in_environment, in_file = given_in
    path = write_config(home, "model = 'a'\nthreads = 4\n" if in_file else "model = 'a'\n")
    env = environment(home, threads="3") if in_environment else environment(home)
    settings = load_settings({"threads": 2 if in_flag else None}, env)
    places = [
        (in_flag, 2, "flag --threads"),
        (in_environment, 3, "environment DELTAMESH_THREADS"),
        (in_file, 4, f"{path} line 2"),
        (True, 1, "default"),
    ]
    _, value, origin = next(place for place in places if place[0])
    assert (settings.threads, settings.origin("threads")) == (value, origin)
    assert settings.origin("model") == f"{path} line 1"


def test_defaults__are_those_of_localnet_when_nothing_is_set(tmp_path: Path) -> None:
    settings = load_settings({}, {"XDG_DATA_HOME": str(tmp_path)})
    assert settings.directory == tmp_path / "deltamesh" / "localnet"
    assert settings.listen == ("/ip4/127.0.0.1/tcp/0",)
    origins = {key: settings.origin(key) for key in Settings.model_fields}
    of_preset = dict.fromkeys(KEYS_OF_PRESETS, "preset localnet")
    assert origins == dict.fromkeys(Settings.model_fields, "default") | of_preset
    assert not any(settings.is_given(key) for key in Settings.model_fields)
    assert (settings.retention_rounds, settings.threads, settings.device) == (64, 1, "auto")


def test_home__ignores_a_relative_xdg_directory_as_its_specification_demands() -> None:
    settings = load_settings({}, {"XDG_DATA_HOME": "relative"})
    assert settings.home == Path.home() / ".local/share/deltamesh"


@pytest.mark.parametrize("network", ["testnet", "my-network"])
def test_listen__is_open_to_other_machines_outside_localnet(tmp_path: Path, network: str) -> None:
    assert load_settings({"network": network}, environment(tmp_path)).listen == ("/ip4/0.0.0.0/tcp/7700",)


def test_file__is_the_one_of_the_network_that_the_flag_names(tmp_path: Path) -> None:
    write_config(tmp_path, "threads = 5", network="alpha")
    write_config(tmp_path, "threads = 6", network="beta")
    assert load_settings({"network": "beta"}, environment(tmp_path)).threads == 6


def test_list__is_read_alike_from_text_and_from_toml(tmp_path: Path) -> None:
    addresses = (f"/ip4/192.0.2.1/tcp/7700/p2p/{PEER}", f"/dns4/node.example/tcp/1/p2p/{PEER}")
    by_environment = load_settings({}, environment(tmp_path, bootstrap=", ".join(addresses)))
    write_config(tmp_path, f'bootstrap = ["{addresses[0]}", "{addresses[1]}"]')
    assert by_environment.bootstrap == load_settings({}, environment(tmp_path)).bootstrap == addresses


def test_empty_variable__counts_as_not_set(tmp_path: Path) -> None:
    settings = load_settings({}, environment(tmp_path, threads=""))
    assert (settings.threads, settings.origin("threads")) == (1, "default")


def test_other_variables__are_none_of_ours(tmp_path: Path) -> None:
    assert load_settings({}, environment(tmp_path) | {"PATH": "/bin", "THREADS": "9"}).threads == 1


def test_origin__of_an_unknown_key_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        load_settings({}, environment(tmp_path)).origin("thread")


def test_unknown_toml_key__is_refused_with_line_and_nearest_key(tmp_path: Path) -> None:
    path = write_config(tmp_path, "# settings\n\nthraeds = 4\n")
    message = refusal({}, environment(tmp_path))
    assert f"{path} line 3" in message
    assert "did you mean 'threads'" in message


def test_unknown_toml_table__is_refused_with_its_line(tmp_path: Path) -> None:
    path = write_config(tmp_path, "threads = 4\n[network]\nx = 1\n[loging]\nlevel = 'info'")
    assert f"{path} line 2" in refusal({}, environment(tmp_path))


def test_unknown_variable__is_refused_with_the_nearest_one(tmp_path: Path) -> None:
    message = refusal({}, environment(tmp_path, loglevel="info"))
    assert "DELTAMESH_LOGLEVEL" in message
    assert "did you mean 'DELTAMESH_LOG_LEVEL'" in message


def test_unknown_flag__is_refused_with_the_nearest_one(tmp_path: Path) -> None:
    assert "did you mean 'listen'" in refusal({"lisen": "x"}, environment(tmp_path))


def test_unknown_key_unlike_any__is_refused_with_the_known_ones(tmp_path: Path) -> None:
    write_config(tmp_path, "zzzzzz = 1")
    message = refusal({}, environment(tmp_path))
    assert "retention_rounds" in message
    assert "home" not in message.split("known are")[1], "home cannot be set in the file"


@pytest.mark.parametrize("key", ["home", "network"])
def test_place_of_the_file__cannot_be_set_in_the_file(tmp_path: Path, key: str) -> None:
    write_config(tmp_path, f"{key} = 'x'")
    message = refusal({}, environment(tmp_path))
    assert f"--{key}" in message
    assert f"DELTAMESH_{key.upper()}" in message


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("threads", "many", "integer"),
        ("threads", "0", "greater than or equal to 1"),
        ("log_level", "loud", "'debug', 'info', 'warning' or 'error'"),
        ("device", "tpu", "'auto', 'cpu' or 'cuda'"),
        ("network", "../other", "a-z, 0-9 and -"),
        ("listen", "127.0.0.1:7700", "not a TCP multiaddress such as /ip4/"),
        ("listen", "/ip4/127.0.0.1/udp/7700", "not a TCP multiaddress"),
        ("listen", "/ip4/300.0.0.1/tcp/7700", "not an IPv4 address"),
        ("listen", "/ip6/127.0.0.1/tcp/7700", "not an IPv6 address"),
        ("listen", "/ip4/127.0.0.1/tcp/65536", "not a port"),
        ("announce", "/onion/abc/tcp/1", "'/onion' is not supported"),
        ("announce", "/dns4/-bad-/tcp/1", "not a host name"),
        ("bootstrap", "/ip4/192.0.2.1/tcp/7700", "names no peer"),
        ("bootstrap", "/ip4/192.0.2.1/tcp/7700/p2p/me", "does not end in /p2p/"),
        ("score_bytes_max", "1", "greater than or equal to"),
    ],
)
def test_bad_value__is_refused_with_its_place_and_what_is_allowed(
    tmp_path: Path, key: str, value: str, words: str
) -> None:
    message = refusal({}, environment(tmp_path, **{key: value}))
    assert message.startswith(f"{key} from environment DELTAMESH_{key.upper()}: ")
    assert words in message


def test_broken_toml__is_refused_with_the_place_of_the_mistake(tmp_path: Path) -> None:
    path = write_config(tmp_path, "threads = 4\nlisten = [\n")
    message = refusal({}, environment(tmp_path))
    assert message.startswith(f"{path} is not TOML")
    assert "line 3" in message or "end of document" in message


def test_binary_file__is_refused_as_no_text(tmp_path: Path) -> None:
    write_config(tmp_path, "").write_bytes(b"\xff\xfe\x00")
    assert "not UTF-8" in refusal({}, environment(tmp_path))


def test_oversize_file__is_refused_unread(tmp_path: Path) -> None:
    write_config(tmp_path, "#" * (1 << 20) + "\n")
    assert "no settings file needs" in refusal({}, environment(tmp_path))


def test_directory_in_place_of_the_file__is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "localnet" / "config.toml").mkdir(parents=True)
    assert "it is a directory" in refusal({}, environment(tmp_path))


@given(st.text(max_size=60))
def test_any_text_as_an_address__is_taken_as_it_is_or_refused_in_one_sentence(text: str) -> None:
    try:
        outcome: object = load_settings({"listen": [text]}, {"DELTAMESH_HOME": "/nonexistent"}).listen
    except ConfigError as error:
        outcome = str(error).partition(":")[0]
    assert outcome in ((text,), "listen from flag --listen")
