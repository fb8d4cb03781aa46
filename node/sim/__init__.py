"""The simulator: the node's own machines and rules in virtual time, with every fault drawn from a seed."""
