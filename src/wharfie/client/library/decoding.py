"""Answers as typed values, whoever wrote them.

The types are those the daemon writes its answers with. Another engine, or an older one, leaves fields out or
writes ``null`` where there should be a list: what does not fit at once is fitted, field by field, with an
empty value for what is missing.
"""

from __future__ import annotations

import types
from typing import Any, TypeVar, Union, get_args, get_origin

import msgspec

from wharfie.client.errors import BrokenAnswer

V = TypeVar("V")
_EMPTY: dict[Any, Any] = {str: "", int: 0, bool: False, float: 0.0, list: [], dict: {}}


def read(data: bytes, kind: type[V]) -> V:
    """An answer's document; raises BrokenAnswer."""
    try:
        try:
            return msgspec.json.decode(data, type=kind)
        except msgspec.ValidationError:
            return msgspec.convert(_fitted(msgspec.json.decode(data), kind), kind)
    except msgspec.DecodeError as error:
        raise BrokenAnswer(f"the engine's answer is not what it should be: {error}") from error


def _fitted(value: Any, kind: Any) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        inner = [one for one in arguments if one is not types.NoneType]
        return None if value is None or len(inner) != 1 else _fitted(value, inner[0])
    if origin is list:
        return [_fitted(one, arguments[0]) for one in value or []]
    if origin is dict:
        return {key: _fitted(one, arguments[1]) for key, one in (value or {}).items()}
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _struct({} if value is None else value, kind)
    return _EMPTY.get(kind) if value is None else value


def _struct(value: Any, kind: type[msgspec.Struct]) -> Any:
    if not isinstance(value, dict):
        return value  # no document at all: that is an error
    made = {}
    for field in msgspec.structs.fields(kind):
        present = value.get(field.encode_name)
        if present is not None or field.required:
            made[field.encode_name] = _fitted(present, field.type)
    return made
