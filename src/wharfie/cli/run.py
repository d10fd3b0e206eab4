"""``run`` and ``create``.

In the foreground a run takes three connections and as many waits for an answer as have to be one after the
other::

    A  create ............ wait (answers when the container is gone) ..................... exit code
    B           attach ........................................ streams .... end
    C                             start, resize

Attach and wait are sent together; the wait's head is read before the start, so that not even the shortest
life is missed.
"""

from __future__ import annotations

import posix

from wharfie.cli.context import Context, say, take_environment, warn
from wharfie.cli.create_body import build
from wharfie.cli.errors import CommandError, run_error
from wharfie.cli.run_options import CREATE, RUN
from wharfie.client.api import check, query
from wharfie.client.errors import ApiError
from wharfie.errors import InvalidArgument, WharfieError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PULLS = ("always", "missing", "never")
_NOT_FOUND = ("executable file not found", "no such file or directory")
_NOT_ALLOWED = ("permission denied", "is a directory")


def exit_code(message: str) -> int:
    """Docker's exit code for a container that could not be started."""
    if any(words in message for words in _NOT_FOUND):
        return 127
    if any(words in message for words in _NOT_ALLOWED):
        return 126
    return 125


def create(context: Context, arguments: list[str]) -> int:
    """``create``: print the new container's id."""
    options, words = CREATE.parse(arguments)
    try:
        body = _prepare("create", options, words)
    except WharfieError as error:
        raise run_error("create", error) from None
    say(_create(context, options, body))
    return 0


def run(context: Context, arguments: list[str]) -> int:
    """``run``: the container's exit code."""
    options, words = RUN.parse(arguments)
    detach = options.get("detach", False)
    if detach and "attach" in options:
        raise CommandError("conflicting options: cannot specify both --attach and --detach")
    try:
        body = _prepare("run", options, words)
    except InvalidArgument as error:
        raise run_error("run", error) from None
    tty = body.get("Tty", False)
    if body["AttachStdin"] and tty and not posix.isatty(0):
        raise CommandError("the input device is not a TTY")
    if tty and not detach:
        from wharfie.cli.terminal import size

        body["HostConfig"]["ConsoleSize"] = list(size())
    try:
        identifier = _create(context, options, body)
        if detach:
            context.api.post(f"/containers/{identifier}/start")
            say(identifier)
            return 0
        return _foreground(context, options, body, identifier)
    except ApiError as error:
        raise run_error("run", error, exit_code(error.message)) from None
    except WharfieError as error:
        raise run_error("run", error) from None


def _prepare(command: str, options: dict[str, Any], words: list[str]) -> dict[str, Any]:
    take_environment(options, command, words[0])
    pull = options.get("pull", "missing")
    if pull not in _PULLS:
        raise InvalidArgument(
            f'invalid pull option: \'{pull}\': must be one of "always", "missing" or "never"'
        )
    body = build(options, words)
    image = words[0]
    if not (image.isascii() and image.islower() and image.replace(":", "", 1).replace("-", "").isalnum()):
        from wharfie.cli.references import validate

        validate(image)
    return body


def _create(context: Context, options: dict[str, Any], body: dict[str, Any]) -> str:
    """Make the container, pulling its image where that is wanted; its id."""
    cidfile = options.get("cidfile")
    if cidfile and posix.access(cidfile, posix.F_OK):
        raise InvalidArgument(
            "container ID file found, make sure the other container isn't running or delete " + cidfile
        )
    if context.user.values.get("proxies"):
        body["Env"] = context.user.with_proxies(context.api.address.text, body.get("Env") or [])
    placed = None
    if options.get("use-api-socket"):
        from wharfie.cli import apisocket

        placed = apisocket.add(context, body)
    target = "/containers/create" + query(name=options.get("name"), platform=options.get("platform"))
    pull = options.get("pull", "missing")
    if pull == "always":
        _pull(context, options, body["Image"])
    try:
        answer = context.api.post(target, body)
    except ApiError as error:
        if error.status != 404 or "No such image" not in error.message or pull != "missing":
            raise
        from wharfie.client.references import with_tag

        warn(f"Unable to find image '{with_tag(body['Image'])}' locally")
        _pull(context, options, body["Image"])
        answer = context.api.post(target, body)
    for warning in answer.get("Warnings") or []:
        warn(f"WARNING: {warning}")
    identifier: str = answer["Id"]
    if placed is not None:
        try:
            placed(identifier)
        except ApiError:
            context.api.call("DELETE", f"/containers/{identifier}?force=1&v=1")
            raise
    if cidfile:
        try:
            with open(cidfile, "x", encoding="ascii") as file:
                file.write(identifier)
        except OSError as error:
            raise InvalidArgument(f"failed to create the container ID file: {error}") from None
    return identifier


def _pull(context: Context, options: dict[str, Any], image: str) -> None:
    from wharfie.cli.pulling import pull_or_bootstrap

    pull_or_bootstrap(context, image, options.get("platform"), quiet=options.get("quiet", False))


def _foreground(context: Context, options: dict[str, Any], body: dict[str, Any], identifier: str) -> int:
    from wharfie.cli.foreground import Foreground, begin_hijack, status

    api = context.api
    target = f"/containers/{identifier}"
    tty, stdin = body.get("Tty", False), body["AttachStdin"]
    keys = context.detach_keys(options)
    front = Foreground(api, tty=tty, detach_keys=keys)
    if options.get("sig-proxy", True):
        front.forward_signals(target)
    waiting = api.connect()
    waiting.send("POST", f"{target}/wait?condition={'removed' if options.get('rm') else 'next-exit'}")
    attached = None
    if stdin or body["AttachStdout"] or body["AttachStderr"]:
        attached = begin_hijack(
            api,
            f"{target}/attach"
            + query(
                stream=1,
                stdin=stdin,
                stdout=body["AttachStdout"],
                stderr=body["AttachStderr"],
                detachKeys=keys,
            ),
        )
    exited = check(waiting.response())
    stream = attached() if attached is not None else None
    try:
        api.post(f"{target}/start")
        front.enter_raw_mode(stdin=stdin)
        front.follow_size(target)
        if stream is not None and front.relay(*stream, stdin=stdin):
            return 0
        return status(exited.read())
    finally:
        front.leave()
