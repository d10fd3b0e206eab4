"""What may go wrong with a registry, in Docker's words where it has some."""

from __future__ import annotations

import aiohttp
import msgspec

from wharfie.errors import NotFound, Unauthorized, Unavailable


class RegistryUnreachable(Unavailable):
    """No answer at all, or none that helps."""


class ManifestUnknown(NotFound):
    """The registry has no such image."""


class RegistryDenied(Unauthorized):
    """The registry does not let us have it."""


class _Error(msgspec.Struct):
    code: str = ""
    message: str = ""


class _Errors(msgspec.Struct):
    errors: list[_Error] | None = None
    details: str = ""


_LIMIT = 1 << 16


async def said(answer: aiohttp.ClientResponse) -> str:
    """``denied: requested access to the resource is denied``: the registry's first error, or the status."""
    try:
        found = msgspec.json.decode(await answer.content.read(_LIMIT), type=_Errors)
    except (msgspec.MsgspecError, RecursionError, aiohttp.ClientError, TimeoutError, OSError):
        found = _Errors()
    if found.errors:
        first = found.errors[0]
        text = f"{first.code.replace('_', '').lower()}: {first.message}".strip(": ")
        # what comes from outside is one line, and not a long one
        return " ".join(text.split())[:400] or f"status {answer.status}"
    return " ".join(found.details.split())[:400] or f"status {answer.status}"


def unreachable(host: str, error: Exception | None) -> RegistryUnreachable:
    """A failure of the network as a sentence."""
    reason = "it does not accept our credentials"
    if isinstance(error, TimeoutError):
        reason = "no answer in time"
    elif isinstance(error, aiohttp.ClientConnectorCertificateError):
        reason = f"its certificate is not trusted: {error.certificate_error}"
    elif isinstance(error, aiohttp.ClientConnectorError):
        reason = str(error.os_error.strerror or error.os_error)
    elif error is not None:
        reason = str(error) or type(error).__name__
    return RegistryUnreachable(f"the registry {host} cannot be reached ({reason})")
