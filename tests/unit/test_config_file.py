"""Writing the settings file: what is written is what is read."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.config_file import Value, config_text, create_config
from config.errors import ConfigError
from config.settings import load_settings

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES: st.SearchStrategy[Value] = st.one_of(
    TEXT, st.integers(-(2**53), 2**53), st.lists(TEXT, max_size=3).map(tuple)
)


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,10}", fullmatch=True), VALUES, max_size=5))
def test_text__reads_back_to_the_same_values(values: dict[str, Value]) -> None:
    read = tomllib.loads(config_text(values))
    assert {key: tuple(v) if isinstance(v, list) else v for key, v in read.items()} == values


def test_created_file__is_what_settings_load(tmp_path: Path) -> None:
    path = tmp_path / "localnet" / "config.toml"
    path.parent.mkdir()
    create_config(path, {"listen": ("/ip4/192.0.2.1/tcp/7700", "/dns/node.example/tcp/1"), "threads": 3})
    settings = load_settings({}, {"DELTAMESH_HOME": str(tmp_path)})
    assert settings.listen == ("/ip4/192.0.2.1/tcp/7700", "/dns/node.example/tcp/1")
    assert (settings.threads, settings.origin("threads")) == (3, f"{path} line 3")
    assert path.stat().st_mode & 0o777 == 0o600


def test_existing_file__is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("# mine")
    with pytest.raises(ConfigError, match="edit it, or move it away"):
        create_config(path, {})
    assert path.read_text() == "# mine"


@pytest.mark.parametrize("key", ["home", "network", "thread"])
def test_key_the_file_cannot_hold__is_refused(tmp_path: Path, key: str) -> None:
    with pytest.raises(ConfigError, match=f"'{key}' is no setting that the file can hold"):
        create_config(tmp_path / "config.toml", {key: "x"})
    assert list(tmp_path.iterdir()) == []


def test_missing_directory__is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="it does not exist"):
        create_config(tmp_path / "none" / "config.toml", {})
