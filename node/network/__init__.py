"""The hardened libp2p host."""
