"""Errors of builds as statuses: with the Dockerfile and its lines, for the client to show."""

from __future__ import annotations

from base64 import b64encode

import msgspec

from wharfie.build.errors import BuildFailed, CommandFailed, DockerfileError
from wharfie.buildkit.grpc import UNKNOWN, Detail, RpcError
from wharfie.errors import WharfieError

_SOURCE = "github.com/moby/buildkit/errdefs.Source+json"
_LINES = 200
"""An instruction may have hundreds of thousands, and as many things wrong with it."""
_EXIT = "github.com/moby/buildkit/gatewayapi.ExitMessage+json"


def told(first: int, last: int) -> range:
    """The lines of an instruction that clients are told, one by one; none for what has no place."""
    return range(first, min(last, first + _LINES) + 1) if first else range(0)


def message_of(error: WharfieError) -> str:
    """What is wrong, in BuildKit's words where it has its own."""
    return error.process if isinstance(error, CommandFailed) else error.message


def failure(error: WharfieError, name: str = "", source: bytes = b"") -> RpcError:
    """The status for an error of a build; ``name`` and ``source``: the Dockerfile."""
    if isinstance(error, RpcError):
        return error
    details: list[Detail] = []
    line = getattr(error, "line", 0)
    if isinstance(error, BuildFailed | DockerfileError) and line:
        details.append((_SOURCE, _located(name, source, line, error.end)))
    if isinstance(error, CommandFailed):
        details.append((_EXIT, msgspec.json.encode({"Code": error.code})))
    # any other code would stand before the message where clients show it
    return RpcError(UNKNOWN, message_of(error), details)


def _located(name: str, source: bytes, first: int, last: int) -> bytes:
    return msgspec.json.encode(
        {
            "info": {"filename": name, "data": b64encode(source).decode(), "language": "Dockerfile"},
            "ranges": [{"start": {"line": line}, "end": {"line": line}} for line in told(first, last)],
        }
    )
