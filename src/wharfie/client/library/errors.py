"""What an engine refuses, as exceptions: by the status of its answer."""

from __future__ import annotations

from wharfie.client.errors import ApiError
from wharfie.errors import WharfieError


class EngineError(ApiError):
    """The engine refused: ``status`` is that of its answer, ``message`` its own sentence."""

    def __str__(self) -> str:
        return self.message


class BadRequest(EngineError):
    """400: the request itself is wrong."""


class Unauthorized(EngineError):
    """401: credentials are missing or were refused."""


class Forbidden(EngineError):
    """403: understood, and not done."""


class NotFound(EngineError):
    """404: what is named does not exist."""


class Conflict(EngineError):
    """409: at odds with the state of what is named."""


class ServerError(EngineError):
    """500 and above: the engine, or what it depends on, failed."""


class TransferFailed(EngineError):
    """A pull, push, load or import went wrong on its way."""


class BuildFailed(EngineError):
    """A build went wrong; ``output`` is what it printed until then."""

    def __init__(self, message: str, output: str) -> None:
        super().__init__(500, message)
        self.output = output


class CommandFailed(WharfieError):
    """A command in a container ended with something else than 0."""

    def __init__(self, exit_code: int, stdout: bytes, stderr: bytes) -> None:
        last = stderr.decode(errors="replace").strip().rpartition("\n")[2]
        super().__init__(f"the command ended with exit code {exit_code}" + (f": {last}" if last else ""))
        self.exit_code = exit_code
        self.stdout = stdout
        self.stderr = stderr


_KINDS = {400: BadRequest, 401: Unauthorized, 403: Forbidden, 404: NotFound, 409: Conflict}


def refusal(status: int, message: str) -> EngineError:
    """The exception for an answer."""
    kind = _KINDS.get(status, ServerError if status >= 500 else EngineError)
    return kind(status, message)
