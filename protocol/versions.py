"""What this software speaks and writes: the numbers by which versions know each other."""

from __future__ import annotations

from typing import Final

from protocol.statement import VERSION

WIRE_VERSION: Final = VERSION
"""In every signed statement; part of what is signed."""

RPC_NAME: Final = "/deltamesh/rpc"
RPC_VERSION: Final = 1
RPC_PROTOCOL: Final = f"{RPC_NAME}/{RPC_VERSION}"
"""Negotiated for every stream: a node of another major version does not have it, and refuses the stream."""
