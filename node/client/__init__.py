"""A Python client of a validator's HTTP API, sync and async, that can check what it gets.

from node.client import Client

with Client("http://127.0.0.1:7780", network_id="...") as client:
    found = client.embed(["a sentence", "another one"], verify=True)
    found.vectors  # float32 [2, 1024]
"""

from node.certified import CheckStep, VerificationFailed
from node.client.answers import Item, Job, Round, RoundDetail, SearchResult, Status
from node.client.async_client import AsyncClient
from node.client.client import Client
from node.client.core import Cache
from node.client.embedding import Embeddings
from node.client.errors import (
    BadAnswerError,
    ClientError,
    InvalidRequestError,
    NotAllowedError,
    NotFoundError,
    OverloadedError,
    ServerError,
    TimedOutError,
    UnreachableError,
)
from node.client.retrying import Retrying
from node.client.sse import Event
from node.client.verification import VerifiedItem

__all__ = [
    "AsyncClient",
    "BadAnswerError",
    "Cache",
    "CheckStep",
    "Client",
    "ClientError",
    "Embeddings",
    "Event",
    "InvalidRequestError",
    "Item",
    "Job",
    "NotAllowedError",
    "NotFoundError",
    "OverloadedError",
    "Retrying",
    "Round",
    "RoundDetail",
    "SearchResult",
    "ServerError",
    "Status",
    "TimedOutError",
    "UnreachableError",
    "VerificationFailed",
    "VerifiedItem",
]
