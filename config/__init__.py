"""Settings of a node, genesis and network parameters, data directory."""
