"""The OpenAPI document: every operation named, every refusal told, every reference there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from node.api.app import ROUTERS, routed_app
from node.api.errors import ErrorBody
from node.api.routes import encoders, epochs, findings, genesis, items, members, reports, rounds

MINE = (encoders, epochs, findings, genesis, items, members, reports, rounds)


@cache
def document() -> Any:
    """As it is served."""
    return routed_app().openapi()


def operations() -> Iterator[tuple[str, str, Any]]:
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_document__is_of_every_router() -> None:
    assert document()["openapi"].startswith("3.1")
    served = {route.path for router in ROUTERS for route in router.routes if route.include_in_schema}  # type: ignore[attr-defined]
    assert set(document()["paths"]) == served


def test_operations__have_names_of_their_own_tags_and_a_summary() -> None:
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(set(names)) == len(names)
    for path, method, operation in operations():
        assert re.fullmatch("[a-z][a-z_]+", operation["operationId"]), (path, method)
        assert operation.get("tags"), path
        assert operation.get("summary"), path


def test_references__all_lead_somewhere() -> None:
    def walk(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                yield node["$ref"]
            for one in node.values():
                yield from walk(one)
        elif isinstance(node, list):
            for one in node:
                yield from walk(one)

    for reference in set(walk(document())):
        place: Any = document()
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]
        assert place


@pytest.mark.parametrize("module", MINE, ids=lambda module: module.__name__.rsplit(".", 1)[1])
def test_reading__declares_its_answer_and_each_refusal_in_the_one_form(module: Any) -> None:
    for route in module.router.routes:
        operation = document()["paths"][route.path]["get"]
        names = [one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"]
        assert names == re.findall(r"{(\w+)}", route.path)
        told = operation["responses"]
        assert told["200"]["content"], route.path
        wanted = {"400", "503"} | ({"404"} if names else set())
        assert wanted <= set(told) or module is genesis, route.path
        for status in set(told) - {"200", "304"}:
            schema = told[status]["content"]["application/json"]["schema"]
            assert schema["$ref"].endswith("/" + ErrorBody.__name__), (route.path, status)
        for parameter in operation.get("parameters", ()):
            assert "schema" in parameter, (route.path, parameter["name"])
