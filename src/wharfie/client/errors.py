"""What can go wrong between a client and its daemon."""

from __future__ import annotations

from wharfie.errors import InternalError, InvalidArgument, Unavailable, WharfieError


class InvalidHost(InvalidArgument):
    """The daemon's address cannot be read."""


class DaemonUnreachable(Unavailable):
    """Nobody listens at the daemon's address, or we may not talk to it."""


class DaemonFailed(Unavailable):
    """The daemon could not be started."""


class BrokenAnswer(InternalError):
    """The other side does not speak HTTP, or hung up in the middle of an answer."""


class EngineTimeout(Unavailable):
    """The engine took longer for an answer than the client waits."""


class BadContext(InvalidArgument):
    """A named daemon that is not there, or cannot be read or made."""


class BadSettings(InvalidArgument):
    """The user's settings say something that cannot be meant."""


class BadCredentials(BadSettings):
    """The credentials for a registry cannot be read, or the program that keeps them fails."""


class BadBuildContext(InvalidArgument):
    """A directory to build from cannot be read."""


class BadArchive(InvalidArgument):
    """A tar stream that cannot be extracted."""


class ApiError(WharfieError):
    """The daemon refused a request; ``message`` is the daemon's own sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    def __str__(self) -> str:
        return f"Error response from daemon: {self.message}"
