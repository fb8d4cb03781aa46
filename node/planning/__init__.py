"""Choosing the parameters of a network: what is read, compared and drawn around `protocol.planning`."""
