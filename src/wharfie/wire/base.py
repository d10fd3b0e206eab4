"""How the types of the Engine API are written as JSON.

Docker's JSON has two kinds of fields: those that are always there (empty, ``null`` or not) and those that
Go marks ``omitempty``. msgspec leaves out a field that is at its plain default when ``omit_defaults`` is set,
and never one that has a default *factory* (except ``list``, ``dict`` and ``set``). So a field with a plain
default is one that is left out, and :func:`always` makes one that is written whatever its value; both at the
speed of the C encoder.

Requests come from many hands: Go clients send ``null`` for empty lists, docker-py for whatever was not given,
and Go reads ``null`` as "not given" everywhere. :func:`decode` takes the fast road first and forgives on the
second.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any, TypeVar, cast

import msgspec

from wharfie.errors import InvalidArgument

T = TypeVar("T")
S = TypeVar("S", bound="Wire")

# strslice.StrSlice of Docker: one string stands for a list of one
_STRING_OR_LIST = frozenset({"Cmd", "Entrypoint", "Shell", "CapAdd", "CapDrop"})
_FACTORIES: dict[Any, Callable[[], Any]] = {str: str, int: int, bool: bool, type(None): type(None)}


class Wire(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """Base of all API types: immutable, keyword only, unknown fields of the other side ignored."""


def always(value: T, name: str | None = None) -> T:
    """A default that is written even so; ``name`` where Docker's spelling is not PascalCase."""
    kind = type(value)
    factory = _FACTORIES[kind] if not value and kind in _FACTORIES else (lambda: _fresh(value))
    return cast(T, msgspec.field(default_factory=factory, name=name))


def optional(value: T, name: str) -> T:
    """A default that is left out of the JSON, for a field whose spelling is not PascalCase."""
    return msgspec.field(default=value, name=name)


def named(name: str) -> Any:
    """A field without default whose spelling is not PascalCase."""
    return msgspec.field(name=name)


def _fresh(value: T) -> T:
    return copy(value) if isinstance(value, (list, dict)) else value


def encode(value: Any) -> bytes:
    """The JSON of any API type, dict or list of them."""
    return msgspec.json.encode(value)


def decode(body: bytes, kind: type[S]) -> S:
    """Read a request body.

    Raises:
        InvalidArgument: it is not JSON, or a field has a value of the wrong type.
    """
    try:
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.ValidationError:
            return msgspec.convert(_forgive(msgspec.json.decode(body)), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"invalid JSON: {error}") from error
    except RecursionError:
        raise InvalidArgument("invalid JSON: it is nested too deeply") from None


def _forgive(value: Any) -> Any:
    """The document without the nulls of API fields, and with lists where Docker takes a string for one.

    API fields begin with a capital letter; keys of maps that are data (ports, paths) keep their nulls.
    """
    if isinstance(value, list):
        return [_forgive(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {}
    for key, item in value.items():
        if item is None and key[:1].isupper():
            continue
        kept[key] = [item] if key in _STRING_OR_LIST and isinstance(item, str) else _forgive(item)
    return kept
