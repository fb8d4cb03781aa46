"""Requests and responses that several routes share."""
