"""The few kinds of error there are.

A kind says what a caller can do about it; a protocol (the HTTP API, a command's exit code) maps kinds, never
single errors. Concrete errors subclass a kind and live beside the code that raises them. Every message is one
sentence that says what is wrong and, where somebody can act on it, what to do.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class WharfieError(Exception):
    """Base of every error that is meant to be read by a person."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message


def listed(problems: Sequence[str]) -> str:
    """Several problems as one text, as Docker joins them: a line each, with a mark where there are more."""
    return "\n".join(f"* {one}" for one in problems) if len(problems) > 1 else "".join(problems)


class InvalidArgument(WharfieError):
    """The request itself is wrong; repeating it cannot help."""


class Unauthorized(WharfieError):
    """Credentials are missing or were refused."""


class Forbidden(WharfieError):
    """The request is understood and will not be done."""


class NotFound(WharfieError):
    """What the request names does not exist."""


class Conflict(WharfieError):
    """The request is at odds with the state of what it names."""


class NotModified(WharfieError):
    """What was asked for is so already (a start of a running container)."""


class Unavailable(WharfieError):
    """Something this depends on (a registry, a process of ours) cannot be reached now."""


class NotSupported(WharfieError):
    """wharfie, or this kernel, cannot do it."""


class InternalError(WharfieError):
    """A failure nobody outside can do anything about; the message still names what failed."""
