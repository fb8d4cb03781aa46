"""The rules of the network: pure, sans-IO. No clock, no randomness, no sockets, no tensors."""
