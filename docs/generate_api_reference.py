"""Writes docs/reference/http-api.md from the OpenAPI document: `python docs/generate_api_reference.py`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from node.api.app import routed_app

TARGET = Path(__file__).parent / "reference" / "http-api.md"

_TOP = """# HTTP API

<!-- Written by docs/generate_api_reference.py; change the routes and models, then run it. -->

Every validator serves this API ([how to use it](../use-the-api.md)); `/openapi.json` is for programs.
Keys, digests and ids are hex, times Unix milliseconds, blobs in JSON base64, large ones
`application/octet-stream`. Every refusal has the body `{"error": {"message", "type", "param", "code"}}`: the
message says what happened, why, and what to do; 400 also stands for a parameter that is not understood.
"""


def reference() -> str:
    """The whole page."""
    document = routed_app().openapi()
    parts = [_TOP]
    for tag, operations in _by_tag(document).items():
        parts += [f"## {tag.capitalize()}", ""]
        for path, method, operation in operations:
            parts += _operation(path, method, operation)
    parts += ["## Objects", ""]
    for name, schema in sorted(document["components"]["schemas"].items()):
        parts += _object(name, schema)
    return "\n".join(parts)


def _by_tag(document: Any) -> dict[str, list[tuple[str, str, Any]]]:
    found: dict[str, list[tuple[str, str, Any]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            found.setdefault(operation["tags"][0], []).append((path, method.upper(), operation))
    return found


def _operation(path: str, method: str, operation: Any) -> list[str]:
    lines = [
        f"### {method} {path}",
        "",
        f"{operation['summary']}. {_text(operation.get('description'))}".strip(),
        "",
    ]
    rows = [_parameter(one) for one in operation.get("parameters", ())]
    body = operation.get("requestBody")
    if body is not None:
        rows += [f"| body | {_type(_content(body)[1])} | | {_cell(body.get('description'))} |"]
    if rows:
        lines += ["| parameter | type | default | |", "|---|---|---|---|", *rows, ""]
    lines += [f"- {line}" for line in _answers(operation["responses"])]
    return [*lines, ""]


def _parameter(parameter: Any) -> str:
    schema = parameter["schema"]
    required = parameter.get("required")
    default = schema.get("default")
    shown = "required" if required else f"`{_plain(default)}`" if default not in (None, "") else ""
    where = " (header)" if parameter["in"] == "header" else ""
    said = _cell(parameter.get("description"))
    return f"| `{parameter['name']}`{where} | {_type(schema)} | {shown} | {said} |"


def _answers(responses: Any) -> Iterator[str]:
    for status, answer in sorted(responses.items()):
        media, schema = _content(answer)
        what = (
            _type(schema) if media == "application/json" and schema else f"`{media}`" if media else "no body"
        )
        if "ErrorBody" in json.dumps(schema):
            yield f"**{status}** {_cell(answer['description'])}"
        else:
            said = _cell(answer["description"])
            yield f"**{status}** {what}" + ("" if said == "Successful Response" else f": {said}")


def _content(answer: Any) -> tuple[str, Any]:
    for media, content in answer.get("content", {}).items():
        return media, content.get("schema", {})
    return "", {}


def _object(name: str, schema: Any) -> list[str]:
    lines = [f"### {name}", "", _text(schema.get("description")), ""]
    if "enum" in schema:
        return [*lines[:2], f"{_text(schema.get('description'))} One of {_values(schema)}.".strip(), ""]
    required = set(schema.get("required", ()))
    rows = []
    for field, told in schema.get("properties", {}).items():
        mark = "" if field in required else " (may be left out)"
        rows.append(f"| `{field}`{mark} | {_type(told)} | {_cell(told.get('description'))} |")
    return [*lines, "| field | type | |", "|---|---|---|", *rows, ""] if rows else lines


def _type(schema: Any) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(map(_type, schema["anyOf"])))
    if "enum" in schema:
        return _values(schema)
    if "const" in schema:
        return f"`{_plain(schema['const'])}`"
    kind = schema.get("type", "anything")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"{_type(schema['additionalProperties'])} by name"
    if kind == "string":
        return _string(schema)
    return str(kind) + _range(schema)


def _string(schema: Any) -> str:
    pattern = schema.get("pattern", "")
    if "{64}" in pattern:
        return "hex, 32 bytes"
    if "{128}" in pattern:
        return "hex, 64 bytes"
    return "base64" if schema.get("contentEncoding") == "base64" else "string"


def _range(schema: Any) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    # The largest whole number JSON keeps exactly is no bound anybody meets.
    return f", {low} to {high}" if low is not None and high is not None and high < 1 << 50 else ""


def _values(schema: Any) -> str:
    return ", ".join(f"`{_plain(value)}`" for value in schema["enum"])


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _text(text: str | None) -> str:
    return " ".join((text or "").split())


def _cell(text: str | None) -> str:
    return _text(text).replace("|", "\\|")


if __name__ == "__main__":
    TARGET.write_text(reference(), encoding="utf-8")
