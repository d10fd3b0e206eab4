"""What ``import wharfie`` offers, and where it is; nothing of it is loaded before it is used."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LIBRARY = "wharfie.client.library."
PUBLIC = {
    "Client": _LIBRARY + "client",
    "AsyncClient": _LIBRARY + "client",
    "Container": _LIBRARY + "container",
    "Output": _LIBRARY + "session",
    "Result": _LIBRARY + "session",
    "Session": _LIBRARY + "session",
    "WharfieError": "wharfie.errors",
    "DaemonUnreachable": "wharfie.client.errors",
    "EngineTimeout": "wharfie.client.errors",
    "EngineError": _LIBRARY + "errors",
    "BadRequest": _LIBRARY + "errors",
    "Unauthorized": _LIBRARY + "errors",
    "Forbidden": _LIBRARY + "errors",
    "NotFound": _LIBRARY + "errors",
    "Conflict": _LIBRARY + "errors",
    "ServerError": _LIBRARY + "errors",
    "TransferFailed": _LIBRARY + "errors",
    "BuildFailed": _LIBRARY + "errors",
    "CommandFailed": _LIBRARY + "errors",
}


def find(name: str) -> Any:
    """What ``wharfie.NAME`` is; raises AttributeError."""
    if name not in PUBLIC:
        raise AttributeError(f"module 'wharfie' has no attribute {name!r}")
    __import__(PUBLIC[name])
    value = getattr(sys.modules[PUBLIC[name]], name)
    setattr(sys.modules["wharfie"], name, value)
    return value
