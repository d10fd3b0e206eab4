"""Pulling an image, with its progress, and what to do where no registry can be reached."""

from __future__ import annotations

from wharfie.cli.context import Context, warn
from wharfie.client.api import query
from wharfie.client.errors import ApiError
from wharfie.client.references import split, with_tag
from wharfie.errors import Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_HOMEMADE = ("debian", "busybox")
# a registry was reached and said no: making an image instead would hide that
_REFUSALS = ("manifest", "not found", "denied", "unauthorized", "toomanyrequests", "no matching")


class PullFailed(ApiError):
    """A pull or push ended with an error in its stream of progress, which Docker shows as it is."""

    def __str__(self) -> str:
        return self.message


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
    from wharfie.client import credentials

    follow(context, "POST", target, fd=fd, quiet=quiet, headers=credentials.header(context.user, name))


def full_name(name: str) -> str:
    """The name with its registry, as Docker shows it at the end."""
    first, slash, _ = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return name
    return f"docker.io/{name}" if slash else f"docker.io/library/{name}"


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
        raise Unavailable(str(problem)) from None
    warn(f"wharfie: no registry can be reached ({problem.message})")
    warn(f"wharfie: making {with_tag(reference)} from the distribution's own packages instead")
    bootstrap(context, name, "" if tag == "latest" else tag, fd=2, quiet=quiet)


def bootstrap(context: Context, name: str, suite: str, *, fd: int, quiet: bool) -> None:
    """Have the daemon make an image without a registry; raises ApiError."""
    target = "/wharfie/images/bootstrap" + query(name=name, suite=suite)
    follow(context, "POST", target, fd=fd, quiet=quiet)
