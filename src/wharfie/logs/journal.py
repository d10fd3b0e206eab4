"""Log lines as entries of systemd's journal (systemd.io, "Native Journal Protocol")."""

from __future__ import annotations

import re
from collections.abc import Mapping

SOCKET = "/run/systemd/journal/socket"
_WRONG = re.compile(r"[^A-Z0-9_]")


def field_name(text: str) -> str:
    """A label's or variable's name as the journal allows it; empty where nothing is left."""
    return _WRONG.sub("_", text.upper()).lstrip("_0123456789")[:64]


def prefix(fields: Mapping[str, str]) -> bytes:
    """The fields that all entries of a container have."""
    return b"".join(_field(name, value.encode()) for name, value in fields.items())


def entry(common: bytes, line: bytes, stamp: str, *, error: bool, partial: bool) -> bytes:
    """One line of output as a datagram; ``stamp`` is its time in RFC 3339."""
    parts = [
        _field("MESSAGE", line),
        b"PRIORITY=3\n" if error else b"PRIORITY=6\n",
        _field("SYSLOG_TIMESTAMP", stamp.encode()),
        b"CONTAINER_PARTIAL_MESSAGE=true\n" if partial else b"",
    ]
    return common + b"".join(parts)


def _field(name: str, value: bytes) -> bytes:
    if b"\n" not in value:
        return b"%b=%b\n" % (name.encode(), value)
    return b"%b\n%b%b\n" % (name.encode(), len(value).to_bytes(8, "little"), value)
