"""Hypothesis strategies of wire records, built from their types."""

from __future__ import annotations

import enum
from typing import Any

import msgspec.inspect as mi
from hypothesis import strategies as st

MANY = 3
"""Elements of a tuple without a stated least number."""


def records(kind: type) -> st.SearchStrategy[Any]:
    """Any value the type admits, short where the type sets no bounds."""
    return _of(mi.type_info(kind))


def _of(info: mi.Type) -> st.SearchStrategy[Any]:
    match info:
        case mi.IntType(gt=None, ge=low, lt=None, le=high):
            return st.integers(low, high)
        case mi.BytesType(min_length=low, max_length=high):
            low = low or 0
            return st.binary(min_size=low, max_size=min(high or low + 40, low + 40))
        case mi.StrType(min_length=low, max_length=high):
            low = low or 0
            text = st.characters(codec="utf-8")
            return st.text(text, min_size=low, max_size=min(high or low + 40, low + 40))
        case mi.EnumType(cls=cls):
            assert issubclass(cls, enum.Enum)
            return st.sampled_from(list(cls))
        case mi.TupleType(item_types=types):
            return st.tuples(*map(_of, types))
        case mi.VarTupleType(item_type=item, min_length=low, max_length=high):
            low = low or 0
            most = max(low, min(high or MANY, MANY))
            return st.lists(_of(item), min_size=low, max_size=most).map(tuple)
        case mi.StructType(cls=cls, fields=fields):
            return st.builds(cls, *(_of(field.type) for field in fields))
    raise TypeError(f"no strategy for {info}")
