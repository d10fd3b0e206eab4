"""Pulling an image, with its progress, and what to do where no registry can be reached."""

from __future__ import annotations

from wharfie.cli.context import Context, warn
from wharfie.cli.references import split, with_tag
from wharfie.client.api import query
from wharfie.client.errors import ApiError
from wharfie.errors import Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_HOMEMADE = ("debian", "busybox")
# a registry was reached and said no: making an image instead would hide that
_REFUSALS = ("manifest", "not found", "denied", "unauthorized", "toomanyrequests", "no matching")


class PullFailed(ApiError):
    """A pull ended with an error in its stream of progress."""


def follow(context: Context, method: str, target: str, *, fd: int, quiet: bool, **options: Any) -> None:
    """Do a request that answers with progress, and show it; raises ApiError."""
    from wharfie.cli.progress import Progress

    shown = Progress(fd, quiet=quiet)
    connection, response = context.api.stream(method, target, **options)
    try:
        for message in response.lines():
            problem = message.get("error") or (message.get("errorDetail") or {}).get("message")
            if problem:
                raise PullFailed(500, problem)
            shown.show(message)
    finally:
        shown.close()
        connection.close()


def pull(
    context: Context, reference: str, platform: str | None, *, fd: int = 1, quiet: bool = False,
    all_tags: bool = False,
) -> None:  # fmt: skip
    """Pull an image; raises ApiError."""
    name, tag, digest = split(reference)
    if not all_tags and not tag and not digest:
        tag = "latest"
    target = "/images/create" + query(fromImage=name, tag=digest or tag, platform=platform)
    headers = registry_auth(context, name)
    follow(context, "POST", target, fd=fd, quiet=quiet, headers=headers)


def registry_auth(context: Context, name: str) -> dict[str, str]:
    """The header with the user's credentials for the registry that ``name`` is in; empty without any."""
    auths = context.settings.get("auths") or {}
    first, slash, _ = name.partition("/")
    is_host = slash and ("." in first or ":" in first or first == "localhost")
    registry = first if is_host else "https://index.docker.io/v1/"
    entry = auths.get(registry) or auths.get(f"https://{registry}") or {}
    if not entry.get("auth") and not entry.get("identitytoken"):
        return {}
    import base64
    import json

    user, _, password = base64.b64decode(entry.get("auth", "")).decode().partition(":")
    config = {"username": user, "password": password, "serveraddress": registry}
    if entry.get("identitytoken"):
        config["identitytoken"] = entry["identitytoken"]
    return {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(config).encode()).decode()}


def pull_or_bootstrap(context: Context, reference: str, platform: str | None, *, quiet: bool) -> None:
    """For ``run``: pull; where no registry can be reached, make the image of the distribution's packages.

    Raises ApiError, or Unavailable with a sentence that names the way out.
    """
    try:
        pull(context, reference, platform, fd=2, quiet=quiet)
        return
    except ApiError as error:
        if any(word in error.message.lower() for word in _REFUSALS):
            raise
        problem = error
    name, tag, digest = split(reference)
    if name not in _HOMEMADE or digest or (name == "busybox" and tag not in ("", "latest")):
        raise Unavailable(
            f"{problem} (without a registry, `wharfie image bootstrap debian` makes an image "
            "from the distribution's own packages)"
        ) from None
    warn(f"wharfie: no registry can be reached ({problem.message})")
    warn(f"wharfie: making {with_tag(reference)} from the distribution's own packages instead")
    bootstrap(context, name, "" if tag == "latest" else tag, fd=2, quiet=quiet)


def bootstrap(context: Context, name: str, suite: str, *, fd: int, quiet: bool) -> None:
    """Have the daemon make an image without a registry; raises ApiError."""
    target = "/wharfie/images/bootstrap" + query(name=name, suite=suite)
    follow(context, "POST", target, fd=fd, quiet=quiet)
