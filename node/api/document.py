"""The OpenAPI document, as the API behaves: FastAPI tells of a 422 that is answered as 400 here."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI

_NEVER_ANSWERED: Final = "422"
_NEVER_SENT: Final = ("HTTPValidationError", "ValidationError")


def document_errors(app: FastAPI) -> None:
    """Have the app's document tell of its own errors only."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        document = made()
        for methods in document["paths"].values():
            for operation in methods.values():
                operation["responses"].pop(_NEVER_ANSWERED, None)
        for name in _NEVER_SENT:
            document.get("components", {}).get("schemas", {}).pop(name, None)
        return document

    # FastAPI's own way to change the document.
    app.openapi = openapi  # type: ignore[method-assign]
