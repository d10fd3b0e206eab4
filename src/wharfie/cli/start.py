"""``start`` and ``attach``."""

from __future__ import annotations

import posix

from wharfie.cli.context import Context, say, warn
from wharfie.cli.errors import CommandError
from wharfie.cli.options import Command
from wharfie.client.api import check, query, quote
from wharfie.errors import WharfieError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

START = Command(
    "start [OPTIONS] CONTAINER [CONTAINER...]",
    "Start stopped containers",
    (
        ("attach", "a", "flag", "Show the container's output and forward signals"),
        ("checkpoint", "", "string", "Go on from this checkpoint"),
        ("checkpoint-dir", "", "string", "Directory the checkpoint is in"),
        ("detach-keys", "", "string", "Keys that detach from the container"),
        ("interactive", "i", "flag", "Connect STDIN as well"),
    ),
    needs=1,
    aliases="container start, start",
)
ATTACH = Command(
    "attach [OPTIONS] CONTAINER",
    "Connect this terminal to a running container",
    (
        ("detach-keys", "", "string", "Keys that detach from the container"),
        ("no-stdin", "", "flag", "Do not connect STDIN"),
        ("sig-proxy", "", "flag", "Forward signals to the process (default true)"),
    ),
    needs=1,
    most=1,
    aliases="container attach, attach",
)


def start(context: Context, arguments: list[str]) -> int:
    """``start``: with -a or -i the container's exit code."""
    options, words = START.parse(arguments)
    attach, interactive = options.get("attach", False), options.get("interactive", False)
    if attach or interactive:
        if len(words) > 1:
            raise CommandError("you cannot start and attach multiple containers at once")
        return _start_attached(context, options, words[0])
    if options.get("checkpoint"):
        if len(words) > 1:
            raise CommandError("you cannot restore multiple containers at once")
        context.api.post(f"/containers/{quote(words[0])}/start{_from_checkpoint(options)}")
        return 0
    failed = []
    for word in words:
        try:
            context.api.post(f"/containers/{quote(word)}/start")
        except WharfieError as error:
            warn(str(error))
            failed.append(word)
        else:
            say(word)
    if failed:
        raise CommandError(f"Error: failed to start containers: {', '.join(failed)}")
    return 0


def _from_checkpoint(options: dict[str, Any]) -> str:
    names = ("checkpoint", "checkpoint-dir")
    return query(**{name: options.get(name) for name in names})


def _start_attached(context: Context, options: dict[str, Any], name: str) -> int:
    target = f"/containers/{quote(name)}"
    found = context.api.get(f"{target}/json")
    target = f"/containers/{found['Id']}"
    stdin = bool(options.get("interactive")) and found["Config"]["OpenStdin"]
    _need_terminal(found["Config"], stdin=stdin)
    gone = "removed" if found["HostConfig"]["AutoRemove"] else "next-exit"
    return _session(context, options, found, target, stdin=stdin, condition=gone, start=True)


def attach(context: Context, arguments: list[str]) -> int:
    """``attach``: the container's exit code."""
    options, words = ATTACH.parse(arguments)
    found = context.api.get(f"/containers/{quote(words[0])}/json")
    state = found["State"]
    if not state["Running"]:
        raise CommandError("You cannot attach to a stopped container, start it first")
    if state["Paused"]:
        raise CommandError("You cannot attach to a paused container, unpause it first")
    if state["Restarting"]:
        raise CommandError("You cannot attach to a restarting container, wait until it is running")
    stdin = not options.get("no-stdin") and found["Config"]["OpenStdin"]
    _need_terminal(found["Config"], stdin=stdin)
    target = f"/containers/{found['Id']}"
    return _session(context, options, found, target, stdin=stdin, condition="not-running", start=False)


def _need_terminal(config: dict[str, Any], *, stdin: bool) -> None:
    if stdin and config["Tty"] and not posix.isatty(0):
        raise CommandError("the input device is not a TTY")


def _session(
    context: Context,
    options: dict[str, Any],
    found: dict[str, Any],
    target: str,
    *,
    stdin: bool,
    condition: str,
    start: bool,
) -> int:
    from wharfie.cli.foreground import Foreground, begin_hijack, status

    api, keys, tty = context.api, context.detach_keys(options), found["Config"]["Tty"]
    front = Foreground(api, tty=tty, detach_keys=keys)
    if options.get("sig-proxy", True) and not tty:
        front.forward_signals(target)
    attached = begin_hijack(
        api, f"{target}/attach" + query(stream=1, stdin=stdin, stdout=1, stderr=1, detachKeys=keys)
    )
    waiting = api.connect()
    waiting.send("POST", f"{target}/wait?condition={condition}")
    exited = check(waiting.response())
    stream = attached()
    try:
        if start:
            try:
                api.post(f"{target}/start{_from_checkpoint(options)}")
            except WharfieError as error:
                warn(str(error))
                raise CommandError(
                    f"Error: failed to start containers: {found['Name'].lstrip('/')}"
                ) from None
        front.enter_raw_mode(stdin=stdin)
        front.follow_size(target)
        if front.relay(*stream, stdin=stdin):
            front.leave()
            warn("read escape sequence")
            return 0 if start else 1
        return status(exited.read())
    finally:
        front.leave()
