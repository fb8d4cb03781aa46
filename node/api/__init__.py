"""The HTTP API of a validator: read the network, ask it for embeddings, watch it."""
