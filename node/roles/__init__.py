"""The two roles of a node: validator and encoder."""
