"""A whole network on one machine: real processes with their own keys, ports and data directories."""
