"""The hardened libp2p host. Nothing outside this package imports libp2p."""

from __future__ import annotations

import os

# Read by libp2p's yamux; with it every partial read sends a credit of its own (must precede the import).
os.environ.setdefault("PY_YAMUX_RELEASE_ON_READ", "0")
