"""Protocol buffers out of tables: a message's name, and below it a line for each field.

::

    Vertex
      1 string digest
      2 repeated string inputs
      5 Timestamp started
      9 map<string,bytes> metadata

Only what is used is declared. What a peer sends beyond that is skipped, as protocol buffers have it. A text
that need not be UTF-8 (a path) is declared as bytes: on the wire both are the same.
"""

from __future__ import annotations

import re
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE = "wharfie"
_FIELD = re.compile(r"(\d+) (repeated )?(map<(\w+),(\w+)>|\w+) (\w+)")
_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "string": _Field.TYPE_STRING,
    "bytes": _Field.TYPE_BYTES,
    "bool": _Field.TYPE_BOOL,
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
    "uint32": _Field.TYPE_UINT32,
}
_pool = descriptor_pool.DescriptorPool()


class Messages:
    """The classes of one table, as attributes."""

    def __init__(self, name: str, table: str, *needed: str) -> None:
        """``needed``: names of tables that this one takes messages from."""
        file = descriptor_pb2.FileDescriptorProto(
            name=name, package=_PACKAGE, syntax="proto3", dependency=list(needed)
        )
        names = []
        for block in re.split(r"\n(?=\w)", table.strip()):
            first, *lines = block.split("\n")
            names.append(first.strip())
            _declare(file.message_type.add(name=first.strip()), [line.strip() for line in lines])
        _pool.Add(file)
        self._classes = {
            one: message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"{_PACKAGE}.{one}"))
            for one in names
        }

    def __getattr__(self, name: str) -> Any:
        """A message's class."""
        try:
            return self._classes[name]
        except KeyError:
            raise AttributeError(name) from None


def _declare(message: descriptor_pb2.DescriptorProto, lines: list[str]) -> None:
    for line in filter(None, lines):
        found = _FIELD.fullmatch(line)
        if found is None:
            raise ValueError(f"{message.name}: {line}")
        number, repeated, kind, key, value, name = found.groups()
        if key:
            entry = f"{name.title().replace('_', '')}Entry"
            nested = message.nested_type.add(name=entry)
            nested.options.map_entry = True
            _add(nested, 1, key, "key")
            _add(nested, 2, value, "value")
            field = message.field.add(name=name, number=int(number), label=_Field.LABEL_REPEATED)
            field.type = _Field.TYPE_MESSAGE
            field.type_name = f".{_PACKAGE}.{message.name}.{entry}"
        else:
            _add(message, int(number), kind, name, repeated=bool(repeated))


def _add(
    message: descriptor_pb2.DescriptorProto, number: int, kind: str, name: str, *, repeated: bool = False
) -> None:
    label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
    field = message.field.add(name=name, number=number, label=label)
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type = _Field.TYPE_MESSAGE
        field.type_name = f".{_PACKAGE}.{kind}"
