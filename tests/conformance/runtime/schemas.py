"""config.json's JSON schema (the specification's own, in ``schema/``): its fields, and values for them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

DIRECTORY = Path(__file__).with_name("schema")
# other systems' parts; and what the schema alone requires: none of it concerns a Linux runtime
FOREIGN = frozenset(("solaris", "windows", "vm", "zos", "freebsd", "commandLine"))

Place = tuple[str | int, ...]


class Field(NamedTuple):
    """A field: where it is, and its schema with references resolved."""

    place: Place
    schema: dict[str, Any]

    @property
    def name(self) -> str:
        """Its own name, or that of the array or the object that it is an entry of."""
        return next(str(part) for part in reversed(self.place) if isinstance(part, str) and part != "key")


def _load(name: str) -> Any:
    return json.loads((DIRECTORY / name).read_text())


def resolve(schema: dict[str, Any], file: str) -> tuple[dict[str, Any], str]:
    """Follow references; the schema and the file that it is in."""
    while "$ref" in schema:
        target, _, pointer = schema["$ref"].partition("#")
        file = target or file
        found = _load(file)
        for part in pointer.strip("/").split("/"):
            found = found[part] if part else found
        schema = found
    if len(schema.get("allOf", ())) == 1:
        return resolve(schema["allOf"][0], file)
    return schema, file


def fields(
    schema: dict[str, Any] | None = None, file: str = "config-schema.json", place: Place = ()
) -> Iterator[Field]:
    """Every field of config.json that concerns Linux."""
    schema, file = resolve(schema if schema is not None else _load(file), file)
    if place:
        yield Field(place, schema)
    for name, inner in schema.get("properties", {}).items():
        if name not in FOREIGN:
            yield from fields(inner, file, (*place, name))
    if isinstance(schema.get("items"), dict):
        yield from fields(schema["items"], file, (*place, 0))
    for inner in (schema.get("additionalProperties"), *schema.get("patternProperties", {}).values()):
        if isinstance(inner, dict):
            yield from fields(inner, file, (*place, "key"))


def example(schema: dict[str, Any], file: str) -> Any:
    """A value that obeys a schema."""
    schema, file = resolve(schema, file)
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object":
        names = schema.get("required", ())
        return {name: example(schema["properties"][name], file) for name in names}
    return {"string": "/x", "integer": max(1, schema.get("minimum", 1)), "boolean": True}.get(str(kind), [])


def required(
    schema: dict[str, Any] | None = None, file: str = "config-schema.json", place: Place = ()
) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Objects by their places, with what they have to have."""
    schema, file = resolve(schema if schema is not None else _load(file), file)
    if schema.get("required") and place:
        yield place, example(schema, file)
    for name, inner in schema.get("properties", {}).items():
        if name not in FOREIGN:
            yield from required(inner, file, (*place, name))
    if isinstance(schema.get("items"), dict):
        yield from required(schema["items"], file, (*place, 0))
    for inner in (schema.get("additionalProperties"), *schema.get("patternProperties", {}).values()):
        if isinstance(inner, dict):
            yield from required(inner, file, (*place, "key"))


# the runtime wants more than the schema where a part makes no sense alone
REQUIRED = {**dict(required()), ("linux", "memoryPolicy"): {"mode": "MPOL_DEFAULT"}}


def put(config: Any, place: Place, value: Any, done: Place = ()) -> Any:
    """A copy of ``config`` with ``value`` at ``place``; objects on the way get what they have to have."""
    if not place:
        return value
    first, rest = place[0], place[1:]
    if isinstance(first, int):
        items = list(config) if isinstance(config, list) else []
        return [put(items[0] if items else None, rest, value, (*done, first)), *items[1:]]
    known = dict(config) if isinstance(config, dict) else dict(REQUIRED.get(done, {}))
    return {**known, first: put(known.get(first), rest, value, (*done, first))}
