"""The one table from kinds of errors to HTTP status codes, and the JSON that Docker's clients read.

A concrete error is mapped by the kind it subclasses (:mod:`wharfie.errors`); what is no error of ours is a
fault, logged with its traceback and answered with 500.
"""

from __future__ import annotations

import logging

from wharfie import errors
from wharfie.api.answers import Answer, empty_answer, json_answer

_log = logging.getLogger(__name__)

STATUS: dict[type[errors.WharfieError], int] = {
    errors.InvalidArgument: 400,
    errors.Unauthorized: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.NotModified: 304,
    errors.Unavailable: 503,
    errors.NotSupported: 501,
    errors.InternalError: 500,
}


def status_of(error: BaseException) -> int:
    """The status code for an error, by the nearest kind it is of."""
    for kind in type(error).__mro__:
        if kind in STATUS:
            return STATUS[kind]
    return 500


def message_of(error: BaseException) -> str:
    """What a client is told; never empty."""
    if isinstance(error, errors.WharfieError):
        text = error.message
    elif isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    else:
        text = f"{type(error).__name__}: {error}"
    return encodable(text)


def encodable(text: str) -> str:
    """A message as UTF-8 can carry it, whatever a client's request brought into it."""
    return text.encode("utf-8", "backslashreplace").decode()


def error_answer(error: Exception) -> Answer:
    """The answer that tells a client about ``error``; a fault of ours is logged."""
    status = status_of(error)
    if status == 304:
        return empty_answer(304)
    if not isinstance(error, errors.WharfieError):
        _log.error("a request failed", exc_info=error)
    elif status >= 500:
        _log.warning("a request failed: %s", error)
    return json_answer({"message": message_of(error)}, status)
