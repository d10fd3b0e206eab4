"""A start that failed, in Docker's words: its clients find their exit codes 126 and 127 by them."""

from __future__ import annotations

from wharfie.errors import InvalidArgument, WharfieError
from wharfie.monitor.client import LaunchError

CREATE_FAILED = (
    "failed to create task for container: failed to create shim task: OCI runtime create failed: "
    "unable to start container process: "
)
# what Docker finds out before it calls its runtime
_BEFORE_RUNTIME = (
    "unable to find user",
    "unable to find group",
    "Unable to find group",
    "uids and gids must be in range",
    "Cannot mkdir",
    "failed to create task for container",
)


class StartFailed(InvalidArgument):
    """The container could not be started; everything made for the start is gone again."""


def start_failure(error: Exception) -> tuple[WharfieError, int]:
    """What the API tells about ``error``, and the container's exit code."""
    if isinstance(error, LaunchError):
        message = error.message
        if not message.startswith(_BEFORE_RUNTIME):
            message = CREATE_FAILED + message
        return StartFailed(message), error.exit_code
    if isinstance(error, WharfieError):
        return error, 128
    return StartFailed(f"{CREATE_FAILED}{error if isinstance(error, OSError) else repr(error)}"), 128
