"""docs/reference/configuration.md is written from the settings, and says of each what it is."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType

import pytest

from config.settings import KEYS_OUTSIDE_FILE, Settings, load_settings
from tests.support.documents import ROOT, mistake_in, read

PAGE = read("docs/reference/configuration.md")
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))


@contextmanager
def scripts_of_docs() -> Iterator[None]:
    """The scripts in docs/ import each other, as they do when run by their path."""
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        yield
    finally:
        sys.path.remove(str(ROOT / "docs"))


@pytest.fixture(scope="module")
def script() -> ModuleType:
    with scripts_of_docs():
        import importlib

        return importlib.import_module("generate_configuration_reference")


def test_configuration_reference__is_what_its_script_writes(script: ModuleType) -> None:
    written: Callable[[], str] = script.reference
    assert written() == PAGE, "run docs/generate_configuration_reference.py"


def test_configuration_reference__has_every_setting_with_a_sentence_of_its_own() -> None:
    assert list(SECTIONS) == list(Settings.model_fields)
    for key, text in SECTIONS.items():
        told = text.strip().partition("\n")[0]
        assert told.endswith("."), f"{key}: say in config/settings.py what it is"


def test_configuration_reference__names_variables_that_are_read() -> None:
    given = {"network": "ours", "threads": "3", "retention_rounds": "70"}
    names = {key: re.search(r"\| environment \| `(\w+)` \|", SECTIONS[key]) for key in given}
    environment = {found[1]: given[key] for key, found in names.items() if found}
    settings = load_settings({"home": "/nowhere"}, environment)
    assert {key: str(getattr(settings, key)) for key in given} == given


def test_configuration_reference__names_flags_that_its_commands_have() -> None:
    checked = 0
    for key, text in SECTIONS.items():
        for flag, commands in re.findall(r"^\| flag \| `(--[\w-]+)` of (.*) \|$", text, re.MULTILINE):
            value = [] if "| type | true or false |" in text else ["x"]
            for command in re.findall(r"`deltamesh ([^`]+)`", commands):
                assert mistake_in([*command.split(), flag, *value]) is None, key
                checked += 1
    assert checked >= 10


def test_configuration_reference__says_what_the_file_cannot_hold() -> None:
    outside = {key for key, text in SECTIONS.items() if "| file | not possible" in text}
    assert outside == KEYS_OUTSIDE_FILE
