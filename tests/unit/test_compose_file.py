"""docker-compose.yml: valid for today's Compose, and every node in it is fenced in."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose

from tests.support.documents import ROOT, read

VARIABLE = re.compile(r"\$\{(\w+)(?::?-([^}]*))?\}")
NODES = ("genesis", "validator-1", "validator-2", "validator-3", "validator-4", "encoder", "cheater", "chaos")
OTHERS = ("prometheus", "grafana")


@cache
def document() -> dict[str, Any]:
    """The file with every variable at its default."""
    text = VARIABLE.sub(lambda found: found[2] or "", read("docker-compose.yml"))
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def test_file__keeps_to_the_compose_specification() -> None:
    compose = PyCompose.from_json(json.dumps(document()))
    compose.validate()
    assert sorted(compose.services) == sorted((*NODES, *OTHERS))


def test_volumes__of_every_service_are_declared_and_used() -> None:
    named = {
        volume.split(":")[0]
        for service in document()["services"].values()
        for volume in service.get("volumes", ())
        if not volume.startswith(".")
    }
    assert named == set(document()["volumes"])


def test_dependencies__are_services_with_a_condition() -> None:
    for name, service in document()["services"].items():
        for other, how in service.get("depends_on", {}).items():
            assert other in document()["services"], name
            assert how["condition"] in ("service_healthy", "service_completed_successfully"), name


@pytest.mark.parametrize("name", [*NODES, *OTHERS])
def test_service__can_do_as_little_as_possible(name: str) -> None:
    service = document()["services"][name]
    assert service["read_only"] is True
    assert service["init"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    assert service["pids_limit"] > 0
    assert int(service["stop_grace_period"].removesuffix("s")) >= 10
    assert service["restart"] == ("no" if name == "genesis" else "unless-stopped")
    assert "privileged" not in service
    assert not any("docker.sock" in volume for volume in service.get("volumes", ()))
    for port in service.get("ports", ()):
        assert port.startswith("127.0.0.1:")


def test_validators__see_no_volume_but_their_own() -> None:
    for number in range(1, 5):
        assert document()["services"][f"validator-{number}"]["volumes"] == [f"validator-{number}:/data"]


def test_variables__are_all_told_of_with_their_defaults() -> None:
    used = dict(VARIABLE.findall(read("docker-compose.yml")))
    told = dict(re.findall(r"^#([A-Z_0-9]+)=(.*)$", read(".env.example"), re.MULTILINE))
    assert told.keys() == used.keys()
    differ = {name for name in used if told[name] != used[name]}
    assert differ == {"VALIDATOR_4_COMMAND"}  # shown at work, for its default says nothing


def test_image__builds_from_no_more_than_its_folders() -> None:
    ignored = read(".dockerignore").splitlines()
    assert "*" in ignored
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", read("Dockerfile"), re.MULTILINE)
    sources = {source for line in copied for source in line.split()}
    assert sources <= {line.removeprefix("!") for line in ignored if line.startswith("!")}
    assert all((ROOT / source).exists() for source in sources)


def test_image__has_the_user_and_the_folders_that_the_file_counts_on() -> None:
    text = read("Dockerfile")
    assert re.search(r"^USER \$\{UID\}:\$\{UID\}$", text, re.MULTILINE)
    assert "ARG UID=10001" in text
    for folder in ("/data", "/network", "/network/encoders", "/network/cheaters", "/network/validator-%g"):
        assert folder in text
