"""Validators, and the peers this node is connected to."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from node.api.answers import answer, refusals
from node.api.errors import ApiError
from node.api.ids import PAGE_MAX, After, Limit, key_after, page_of
from node.api.models.members import Peer, PeerPage, Validator, ValidatorPage
from node.api.reading import newest_epoch
from node.api.remembered import StatusRoute
from node.api.service import Service, ServiceOf
from node.status import NodeStatus
from protocol.epochs.view import Epoch

router = APIRouter(prefix="/v1", tags=["members"], route_class=StatusRoute)


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
    page, next_after = page_of(list(epoch.states), key_after(after), limit)
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
    start = key_after(after)
    page, next_after = page_of(sorted(peers), None if start is None else start.hex(), limit)
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
                    round_trip_ms=peers[key].round_trip_ms,
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
