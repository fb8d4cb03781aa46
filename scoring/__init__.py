"""Scoring of one shard: pure numerics on tensors."""
