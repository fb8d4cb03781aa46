"""The real API over a data directory with one certified round, in memory or on a port of this machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import uvicorn

from config.settings import load_settings
from node.api.app import make_app
from node.api.server import address_of, bind
from node.api.service import Service, open_service
from node.clock import now_ms
from node.status import NodeStatus, PeerStatus
from tests.support.certified_round import CertifiedRound, certified_round
from tests.support.cli import directory_of, home_with_round
from tests.support.publishing import PublishingHub


@contextmanager
def round_service(home: Path, rounds: int = 1) -> Iterator[Service]:
    """The service of a validator that holds round 0 whole, answers included."""
    round_: CertifiedRound = home_with_round(home, rounds)
    settings = load_settings({"home": home, "network": "localnet"}, environment={})
    peer = PeerStatus("ab" * 32, "encoder", "/ip4/192.0.2.1/tcp/9", False, now_ms() - 5_000, 1.5)
    told = NodeStatus(
        role="validator",
        public_key=min(round_.validators).hex(),
        network_id=round_.genesis.network_id.hex(),
        pid=1,
        version="0.1.0",
        started_ms=now_ms() - 60_000,
        updated_ms=now_ms(),
        peers=(peer,),
        round=7,
        counters={"gossip.dropped": 1234},
    )
    with open_service(
        certified_round().genesis, settings, directory_of(home), PublishingHub(), lambda: told, lambda: None
    ) as service:
        yield service


def in_memory(service: Service) -> httpx.ASGITransport:
    """The API without a socket, for the async client."""
    return httpx.ASGITransport(make_app(service))


@contextmanager
def on_a_port(service: Service) -> Iterator[str]:
    """The API on a port that the system chooses; its address."""
    listening = bind("127.0.0.1:0")
    config = uvicorn.Config(make_app(service), log_config=None, lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        yield f"http://{address_of(listening)}"
    finally:
        server.should_exit = True
        thread.join(timeout=20)
        listening.close()
        assert not thread.is_alive()
