"""What a failed dump or restore says: CRIU's version, its own words, and where its log is."""

from __future__ import annotations

from wharfie.errors import NotSupported
from wharfie.support.files import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wharfie.runtime.criu.service import CriuFailure

_LINES = 3
_LIMIT = 1 << 26


def failure(error: CriuFailure, kind: str, version: str, log: str) -> NotSupported:
    """The error to raise for ``error``; ``kind`` is CRIU's name of the request."""
    said = "; ".join(_errors(log)) or error.message or "no reason given"
    return NotSupported(f"criu failed: type {kind}: CRIU {version} says: {said} (log file: {log})")


def _errors(log: str) -> list[str]:
    """The last lines of a log that tell of errors, without their time."""
    try:
        text = read_file(log, _LIMIT).decode("utf-8", "replace")
    except (OSError, ValueError):
        return []
    found = [line.partition(") ")[2].strip() for line in text.splitlines() if "Error (" in line]
    return found[-_LINES:]
