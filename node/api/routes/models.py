"""The network as the one model it is, for clients that list models."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict

from node.api.embedding.answer import MODEL
from node.api.errors import ApiError, ErrorBody
from node.api.service import Service, ServiceOf

router = APIRouter(tags=["embeddings"])


class ModelAnswer(BaseModel):
    """One model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    object: Literal["model"] = "model"
    created: int
    """Unix seconds, as OpenAI's: when round 0 began."""
    owned_by: str
    """The network."""


class ModelsAnswer(BaseModel):
    """All models: one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    object: Literal["list"] = "list"
    data: list[ModelAnswer]


@router.get("/v1/models", operation_id="list_models", summary="The one model there is")
def list_models(service: ServiceOf) -> ModelsAnswer:
    """The network's consensus, under the name `deltamesh`."""
    return ModelsAnswer(data=[_model(service)])


@router.get(
    "/v1/models/{model}",
    operation_id="get_model",
    summary="The one model there is",
    responses={404: {"model": ErrorBody, "description": "There is no such model."}},
)
def get_model(model: Annotated[str, Path(max_length=200)], service: ServiceOf) -> ModelAnswer:
    """By the name `deltamesh`, the network's name or its id."""
    check_model(service, model)
    return _model(service)


def check_model(service: Service, model: str) -> None:
    """Raises ApiError unless the name is one of this network's."""
    genesis = service.genesis
    if model not in (MODEL, genesis.content.name, genesis.network_id.hex()):
        raise ApiError(
            404,
            "this network is no such model, and vectors of different models cannot be compared: ask for "
            f"'{MODEL}' or '{genesis.content.name}'",
            param="model",
            code="model_not_found",
        )


def _model(service: Service) -> ModelAnswer:
    genesis = service.genesis
    return ModelAnswer(
        id=MODEL, created=genesis.content.genesis_time_ms // 1_000, owned_by=genesis.content.name
    )
