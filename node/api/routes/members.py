"""Members: encoders and how they did, validators, and the peers this node is connected to."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Annotated, Final, TypeVar

from fastapi import APIRouter, Query
from starlette.responses import Response

from node.api.answers import answer, refusals
from node.api.encoder_view import encoder_of, encoders_of, history_of
from node.api.errors import ApiError
from node.api.ids import PAGE_MAX, After, Digest, Limit, bytes_of, unknown
from node.api.models.members import EncoderDetail, EncoderPage, Peer, PeerPage, Validator, ValidatorPage
from node.api.reading import newest_epoch
from node.api.service import Service, ServiceOf
from node.status import NodeStatus
from protocol.epochs.view import Epoch

router = APIRouter(prefix="/v1", tags=["members"])

HISTORY_ROUNDS: Final = 100

K = TypeVar("K", bytes, str)

RoundsQuery = Annotated[int, Query(ge=1, le=PAGE_MAX, description="How many of the newest scored rounds.")]


@router.get(
    "/encoders",
    operation_id="list_encoders",
    summary="Encoders with their scores",
    response_model=EncoderPage,
    responses=refusals(400),
)
def list_encoders(service: ServiceOf, limit: Limit = PAGE_MAX, after: After = None) -> Response:
    """The encoders of the newest epoch in key order; scores and weights are means over the last 20 scored
    rounds. Average at least 4 before judging one."""
    epoch = newest_epoch(service)
    page, next_after = _page(list(epoch.encoders), _after(after), limit)
    return answer(
        EncoderPage(
            epoch=epoch.number,
            total=len(epoch.encoders),
            encoders=encoders_of(service, epoch, page),
            next_after=None if next_after is None else next_after.hex(),
        )
    )


@router.get(
    "/encoders/{key}",
    operation_id="get_encoder",
    summary="One encoder, round by round",
    response_model=EncoderDetail,
    responses=refusals(400, 404),
)
def get_encoder(service: ServiceOf, key: Digest, rounds: RoundsQuery = HISTORY_ROUNDS) -> Response:
    """One encoder of the newest epoch with its scores in the newest scored rounds, every term of them."""
    name, epoch = bytes_of(key, "key"), newest_epoch(service)
    if name not in epoch.encoders:
        raise unknown(
            f"{key[:16]} is no encoder of epoch {epoch.number}",
            "/v1/encoders lists those there are; newcomers are from the next epoch on, and who left or was "
            "convicted is no longer",
            "key",
            "unknown_encoder",
        )
    told = encoder_of(service, epoch, name)
    return answer(EncoderDetail(**dict(told), epoch=epoch.number, history=history_of(service, name, rounds)))


@router.get(
    "/validators",
    operation_id="list_validators",
    summary="Validators with their stake",
    response_model=ValidatorPage,
    responses=refusals(400),
)
def list_validators(service: ServiceOf, limit: Limit = PAGE_MAX, after: After = None) -> Response:
    """The validators of the newest epoch in key order, the convicted too."""
    epoch, status = newest_epoch(service), service.status()
    page, next_after = _page(list(epoch.states), _after(after), limit)
    connected = set() if status is None else {peer.public_key for peer in status.peers} | {status.public_key}
    return answer(
        ValidatorPage(
            epoch=epoch.number,
            total=len(epoch.states),
            total_stake=epoch.total_stake,
            validators=tuple(_validator(service, epoch, key, connected) for key in page),
            next_after=None if next_after is None else next_after.hex(),
        )
    )


@router.get(
    "/peers",
    operation_id="list_peers",
    summary="Peers this node is connected to",
    response_model=PeerPage,
    responses=refusals(400),
)
def list_peers(service: ServiceOf, limit: Limit = PAGE_MAX, after: After = None) -> Response:
    """Connected peers in key order, as of the node's last word, at most a second old."""
    status = _status(service)
    peers = {peer.public_key: peer for peer in status.peers}
    start = _after(after)
    page, next_after = _page(sorted(peers), None if start is None else start.hex(), limit)
    return answer(
        PeerPage(
            total=len(peers),
            updated_ms=status.updated_ms,
            peers=tuple(
                Peer(
                    public_key=key,
                    role=peers[key].role,
                    address=peers[key].address,
                    outbound=peers[key].outbound,
                    since_ms=peers[key].since_ms,
                    penalty=peers[key].penalty,
                )
                for key in page
            ),
            next_after=next_after,
        )
    )


def _status(service: Service) -> NodeStatus:
    status = service.status()
    if status is None:
        raise ApiError(503, "the node is starting: ask again in a second", headers={"Retry-After": "1"})
    return status


def _validator(service: Service, epoch: Epoch, key: bytes, connected: set[str]) -> Validator:
    member = epoch.validators.get(key) or service.genesis.validators.get(key)
    return Validator(
        public_key=key.hex(),
        stake=epoch.states[key].stake,
        joined=key in epoch.joined,
        connected=key.hex() in connected,
        addresses=() if member is None else member.addresses,
    )


def _after(text: str | None) -> bytes | None:
    return None if text is None else bytes_of(text, "after")


def _page(keys: Sequence[K], after: K | None, limit: int) -> tuple[Sequence[K], K | None]:
    """Up to `limit` of the sorted keys above `after`, and where the next page begins, if there is one."""
    start = 0 if after is None else bisect_right(keys, after)
    page = keys[start : start + limit]
    return page, page[-1] if page and start + limit < len(keys) else None
