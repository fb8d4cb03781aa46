"""Answers as clients and the OpenAPI document see them."""
