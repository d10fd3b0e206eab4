"""Docker's published description of API 1.51: its operations, its loosened schemas, and which fields occur.

What is published is stricter than what Docker answers: Go writes ``null`` for an empty list or map, and marks
few of them. So ``null`` is taken for every list, map and object here; whatever else is let through is listed,
with its reason, in ``deviations.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from tests.conformance.api.deviations import LOOSENED

DATA = Path(__file__).with_name("data") / "docker-engine-api-v1.51.yaml"
SWARM = frozenset({"Swarm", "Node", "Service", "Task", "Secret", "Config"})
_NULLABLE = frozenset({"array", "object"})
_KEPT = frozenset(
    {"enum", "items", "minimum", "properties", "additionalProperties", "required", "type", "allOf"}
)
Field = tuple[str, str]


@cache
def document() -> dict[str, Any]:
    """The whole of it."""
    with DATA.open("rb") as file:
        found: dict[str, Any] = yaml.load(file, Loader=yaml.CSafeLoader)
    return found


class Operation:
    """One documented operation."""

    def __init__(self, method: str, path: str, described: dict[str, Any]) -> None:
        self.id: str = described["operationId"]
        self.method = method.upper()
        self.path = path
        self.tag: str = described["tags"][0]
        self.statuses = tuple(int(status) for status in described["responses"])
        self._responses = {int(status): answer for status, answer in described["responses"].items()}

    def schema(self, status: int) -> dict[str, Any] | None:
        """What an answer of this status looks like; None when nothing is said of it."""
        found: dict[str, Any] | None = self._responses.get(status, {}).get("schema")
        return found

    @property
    def errors(self) -> tuple[int, ...]:
        """The documented ones that a client can provoke."""
        return tuple(status for status in self.statuses if 400 <= status < 500)


@cache
def operations() -> dict[str, Operation]:
    """All of them, by name."""
    found = {}
    for path, methods in document()["paths"].items():
        for method, described in methods.items():
            if method != "parameters":
                one = Operation(method, path, described)
                found[one.id] = one
    return found


def problems(owner: str, schema: dict[str, Any], value: Any) -> list[str]:
    """What of an answer is at odds with its schema."""
    validator = jsonschema.Draft202012Validator({**_loosened(schema, owner), "$defs": _definitions()})
    return [f"{error.json_path}: {error.message[:300]}" for error in validator.iter_errors(value)]


@cache
def _definitions() -> dict[str, Any]:
    return {name: _loosened(schema, name) for name, schema in document()["definitions"].items()}


def _loosened(schema: dict[str, Any], owner: str) -> dict[str, Any]:
    if "$ref" in schema:
        return {"$ref": "#/$defs/" + schema["$ref"].rpartition("/")[2]}
    found = {name: value for name, value in schema.items() if name in _KEPT}
    kind = found.get("type")
    nullable = kind in _NULLABLE or schema.get("x-nullable") or "properties" in found
    if isinstance(kind, str) and nullable:
        found["type"] = [kind, "null"]
    if "properties" in found:
        found["properties"] = {
            name: _loosened_property(f"{owner}.{name}", one) for name, one in found["properties"].items()
        }
        found["required"] = [
            name
            for name in found.get("required", ())
            if "optional" not in LOOSENED.get(f"{owner}.{name}", ())
        ]
    if isinstance(found.get("additionalProperties"), dict):
        found["additionalProperties"] = _loosened(found["additionalProperties"], f"{owner}.*")
    if "items" in found:
        found["items"] = _loosened(found["items"], f"{owner}[]")
    if "allOf" in found:
        found["allOf"] = [_loosened(one, owner) for one in found["allOf"]]
    return found


def _loosened_property(owner: str, schema: dict[str, Any]) -> dict[str, Any]:
    found = _loosened(schema, owner)
    allowed = LOOSENED.get(owner, ())
    if "any" in allowed:
        return {}
    if "null" in allowed:
        return {"anyOf": [found, {"type": "null"}]}
    if "empty" in allowed:
        return {"anyOf": [found, {"const": ""}]}
    return found


def _resolved(schema: dict[str, Any], owner: str) -> tuple[dict[str, Any], str]:
    while "$ref" in schema:
        owner = schema["$ref"].rpartition("/")[2]
        schema = document()["definitions"][owner]
    return schema, owner


def _properties(schema: dict[str, Any], owner: str) -> dict[str, tuple[dict[str, Any], str]]:
    """Every property, with the definition it belongs to."""
    schema, owner = _resolved(schema, owner)
    found: dict[str, tuple[dict[str, Any], str]] = {}
    for part in schema.get("allOf", ()):
        found |= _properties(part, owner)
    return found | {name: (one, owner) for name, one in schema.get("properties", {}).items()}


def documented(owner: str, schema: dict[str, Any], seen: set[str] | None = None) -> Iterator[Field]:
    """Every field that an answer may have, as the definition it is in and its name."""
    seen = set() if seen is None else seen
    schema, owner = _resolved(schema, owner)
    if owner in seen:
        return
    seen = seen | {owner}
    for name, (one, where) in _properties(schema, owner).items():
        yield where, name
        yield from documented(f"{where}.{name}", one, seen)
    for inner, mark in (("items", "[]"), ("additionalProperties", ".*")):
        if isinstance(schema.get(inner), dict):
            yield from documented(f"{owner}{mark}", schema[inner], seen)


def fields(owner: str, schema: dict[str, Any], value: Any) -> Iterator[tuple[Field, bool]]:
    """Every field that an answer has, and whether it is a documented one."""
    schema, owner = _resolved(schema, owner)
    if isinstance(value, list):
        for item in value:
            yield from fields(f"{owner}[]", schema.get("items", {}), item)
    if not isinstance(value, dict):
        return
    known = _properties(schema, owner)
    extra = schema.get("additionalProperties")
    for name, item in value.items():
        if name in known:
            one, where = known[name]
            yield (where, name), True
            yield from fields(f"{where}.{name}", one, item)
        elif isinstance(extra, dict):
            yield from fields(f"{owner}.*", extra, item)
        elif known:
            yield (owner, name), False
