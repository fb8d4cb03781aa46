"""`deltamesh config`: what is in force, from where, and everything that is wrong with it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from config.contradictions import Weight, contradictions
from config.described import MASKED, UNITS, described, example_file, meanings, shown_value
from config.settings import KEYS_OF_PRESETS, KEYS_OUTSIDE_FILE, Settings, load_settings, settings_faults
from node.cli.errors import ExitCode
from node.doctor.checks.settings import told
from tests.support.cli import deltamesh

SECRET = "dm_do-not-print-me"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for key in Settings.model_fields:
        monkeypatch.delenv(f"DELTAMESH_{key.upper()}", raising=False)
    monkeypatch.setenv("DELTAMESH_HOME", str(tmp_path))


def written(home: Path, text: str) -> Path:
    path = home / "localnet" / "config.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def settings(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "some.toml"
    path.write_text(text)
    return load_settings({}, {"DELTAMESH_HOME": str(tmp_path)}, path)


def test_show__names_every_setting_with_value_unit_and_origin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, "# mine\nretention_rounds = 7\nthreads = 2\n")
    monkeypatch.setenv("DELTAMESH_THREADS", "3")
    shown = deltamesh("config", "show", "--origin", "--json").json
    assert list(shown) == list(Settings.model_fields)
    assert shown["retention_rounds"]["value"] == 7
    assert shown["retention_rounds"]["unit"] == "rounds"
    assert shown["retention_rounds"]["origin"] == f"{path} line 2"
    assert (shown["threads"]["value"], shown["threads"]["origin"]) == (3, "environment DELTAMESH_THREADS")
    assert shown["listen"]["origin"] == "preset localnet"
    table = deltamesh("config", "show", "--origin").out
    assert "7 rounds" in table
    assert "environment DELTAMESH_THREADS" in table
    assert "DELTAMESH_THREADS" not in deltamesh("config", "show").out


@pytest.mark.parametrize("arguments", [["--json"], ["--origin"], []])
def test_show__never_prints_a_token(tmp_path: Path, arguments: list[str]) -> None:
    written(tmp_path, f'token = "{SECRET}"')
    shown = deltamesh("config", "show", *arguments)
    assert shown.code == 0
    assert SECRET not in shown.out + shown.err
    assert MASKED in shown.out


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://me:s3cret@api.example:7780/v1", "http://(set, not shown)@api.example:7780/v1"),
        ("http://s3cret@api.example", "http://(set, not shown)@api.example"),
        ("http://me:s3cret@x@api.example", "http://(set, not shown)@api.example"),
        ("http://api.example/@path", "http://api.example/@path"),
    ],
)
def test_password_in_a_url__is_shown_by_neither_command(tmp_path: Path, url: str, shown: str) -> None:
    given = load_settings({"url": url}, {"DELTAMESH_HOME": str(tmp_path)})
    assert shown_value(given, "url") == shown
    said = told(given)
    assert "s3cret" not in said
    assert said.startswith("set: ")


def test_check__never_prints_a_token_that_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, f'token = ["{SECRET}"]')
    checked = deltamesh("config", "check")
    assert checked.code == ExitCode.BAD_INPUT
    assert SECRET not in checked.out + checked.err
    assert f"token from {path} line 1" in checked.out


def test_check__tells_all_mistakes_of_a_file_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, "threds = 2\nthreads = 0\nhome = 'x'\nlisten = ['nowhere']\napi = 'loud'\n")
    checked = deltamesh("config", "check", "--json")
    assert checked.code == ExitCode.BAD_INPUT
    faults = checked.json["faults"]
    for line, words in (
        (1, "did you mean 'threads'"),
        (2, "greater"),
        (3, "--home"),
        (4, "multiaddress"),
        (5, "off"),
    ):
        assert any(f"{path} line {line}" in fault and words in fault for fault in faults), (line, faults)
    assert len(faults) == 5
    text = deltamesh("config", "check").out
    assert text.count("✗") == 5


def test_check__tells_what_a_variable_hides_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "threads = 'many'")
    monkeypatch.setenv("DELTAMESH_THREADS", "2")
    assert load_settings({}).threads == 2
    (fault,) = deltamesh("config", "check", "--json").json["faults"]
    assert fault.startswith(f"threads from {path} line 1")


def test_check__reads_the_file_it_is_given_and_no_other(tmp_path: Path) -> None:
    written(tmp_path, "threads = 0")
    other = tmp_path / "other.toml"
    other.write_text("threads = 4")
    assert deltamesh("config", "check", other).code == 0
    assert deltamesh("config", "check").code == ExitCode.BAD_INPUT
    assert "there is no settings file" in deltamesh("config", "check", tmp_path / "none.toml").error


@pytest.mark.parametrize("content", [b"threads = [", b"\xff\xfe", b"a = " + b"[" * 5_000])
def test_check__of_a_file_that_is_no_toml_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    checked = deltamesh("config", "check", path)
    assert checked.code == ExitCode.BAD_INPUT
    assert str(path) in checked.out
    assert "Traceback" not in checked.out + checked.err


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ('api = "0.0.0.0:7780"\napi_access = "open"', ("api", "api_access")),
        ('metrics = "0.0.0.0:7781"', ("metrics",)),
        ('announce = ["/ip4/192.0.2.1/tcp/7700"]', ("announce", "listen")),
        (
            'announce = ["/ip4/192.0.2.1/tcp/7700"]\nlisten = ["/ip4/0.0.0.0/tcp/0"]',
            ("announce", "listen"),
        ),
        ('listen = ["/ip4/0.0.0.0/tcp/7780"]', ("api", "listen")),
        ('listen = ["/ip4/127.0.0.1/tcp/7780"]', ("api", "listen")),
        ("connections_max = 8", ("connections_max", "standing_validators", "relay_peers")),
    ],
)
def test_contradiction__is_found_between_settings_each_allowed(
    tmp_path: Path, text: str, keys: tuple[str, ...]
) -> None:
    found = contradictions(settings(tmp_path, text))
    assert keys in [one.keys for one in found]
    assert all(one.seen and one.why and one.remedy for one in found)
    ended = deltamesh("config", "check", tmp_path / "some.toml")
    refused = any(one.weight is Weight.REFUSED for one in found)
    assert ended.code == (ExitCode.BAD_INPUT if refused else 0)
    assert found[0].remedy in ended.out


@pytest.mark.parametrize(
    "text",
    [
        "",
        'api = "0.0.0.0:7780"',
        'api = "off"\nlisten = ["/ip4/0.0.0.0/tcp/7780"]',
        'listen = ["/ip4/192.0.2.7/tcp/7780"]',
        'listen = ["/ip4/0.0.0.0/tcp/7700"]\nannounce = ["/dns4/a.example/tcp/7700"]',
    ],
)
def test_contradiction__is_none_where_settings_go_together(tmp_path: Path, text: str) -> None:
    assert contradictions(settings(tmp_path, text)) == ()


def test_example__is_toml_of_nothing_and_uncommented_of_the_defaults(tmp_path: Path) -> None:
    text = example_file()
    assert tomllib.loads(text) == {}
    lines = [line.removeprefix("# ") for line in text.splitlines()]
    set_lines = [line for line in lines if line.partition(" = ")[0] in Settings.model_fields]
    path = tmp_path / "all.toml"
    path.write_text("\n".join(set_lines))
    assert settings_faults({}, {"DELTAMESH_HOME": str(tmp_path)}, path) == []
    held = tomllib.loads(path.read_text())
    assert held.keys() == Settings.model_fields.keys() - KEYS_OUTSIDE_FILE
    loaded = load_settings({}, {"DELTAMESH_HOME": str(tmp_path)}, path)
    for key, field in Settings.model_fields.items():
        if key in held and key not in (*KEYS_OF_PRESETS, "data", "url", "token"):
            assert getattr(loaded, key) == field.default, key
    assert deltamesh("config", "example").out == text


def test_meanings__are_told_of_every_setting_and_units_of_every_number() -> None:
    assert set(meanings()) == set(Settings.model_fields)
    assert [key for key, text in meanings().items() if not text] == []
    numbers = {key for key, field in Settings.model_fields.items() if field.annotation is int}
    assert set(UNITS) == numbers


def test_described__follows_the_resolution_of_settings(tmp_path: Path) -> None:
    loaded = settings(tmp_path, "threads = 5")
    (threads,) = [one for one in described(loaded) if one.key == "threads"]
    assert (threads.value, threads.origin) == (5, f"{tmp_path / 'some.toml'} line 1")
    assert threads.origin == loaded.origin("threads")


def test_path__is_that_of_the_file_also_where_it_is_broken(tmp_path: Path) -> None:
    path = written(tmp_path, "threads = [")
    assert deltamesh("config", "path").out.strip() == str(path)
    named = deltamesh("config", "path", "--network", "other").out.strip()
    assert named == str(tmp_path / "other" / "config.toml")
