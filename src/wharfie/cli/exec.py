"""``exec``: one connection makes the command, starts it and becomes its streams; another gets its code."""

from __future__ import annotations

import posix

from wharfie.cli.context import Context
from wharfie.cli.errors import CommandError
from wharfie.cli.options import Command
from wharfie.client.api import check
from wharfie.errors import WharfieError
from wharfie.support import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

EXEC = Command(
    "exec [OPTIONS] CONTAINER COMMAND [ARG...]",
    "Run a command in a running container",
    (
        ("detach", "d", "flag", "Leave the command running in the background"),
        ("detach-keys", "", "string", "Keys that detach from the command"),
        ("env", "e", "env", "Set an environment variable"),
        ("env-file", "", "list", "Read environment variables from a file"),
        ("interactive", "i", "flag", "Keep STDIN open"),
        ("privileged", "", "flag", "Give all capabilities to the command"),
        ("tty", "t", "flag", "Allocate a terminal"),
        ("user", "u", "string", "User and group to run as (<name|uid>[:<group|gid>])"),
        ("workdir", "w", "string", "Working directory in the container"),
    ),
    needs=2,
    mixes=False,
    aliases="container exec, exec",
)


def _body(options: dict[str, Any], words: list[str], keys: str) -> dict[str, Any]:
    detach = options.get("detach", False)
    body: dict[str, Any] = {
        "Cmd": words[1:],
        "Tty": options.get("tty", False),
        "AttachStdin": not detach and options.get("interactive", False),
        "AttachStdout": not detach,
        "AttachStderr": not detach,
    }
    env = options.get("env", [])
    if "env-file" in options:
        from wharfie.cli.create_parts import read_lines

        env = [line for path in options["env-file"] for line in read_lines(path, environment=True)] + env
    for name, value in (
        ("Env", env),
        ("User", options.get("user")),
        ("WorkingDir", options.get("workdir")),
        ("Privileged", options.get("privileged")),
        ("DetachKeys", keys),
    ):
        if value:
            body[name] = value
    return body


def run(context: Context, arguments: list[str]) -> int:
    """The command's exit code."""
    options, words = EXEC.parse(arguments)
    body = _body(options, words, context.detach_keys(options))
    tty, stdin = body["Tty"], body["AttachStdin"]
    if tty and stdin and not posix.isatty(0):
        raise CommandError("the input device is not a TTY")
    start: dict[str, Any] = {"Detach": not body["AttachStdout"], "Tty": tty}
    if tty and not start["Detach"]:
        from wharfie.cli.terminal import size

        start["ConsoleSize"] = body["ConsoleSize"] = list(size())
    api = context.api
    identifier = api.post(f"/containers/{_name(words[0])}/exec", body)["Id"]
    if not identifier:
        raise CommandError("exec ID empty")
    target = f"/exec/{identifier}"
    if start["Detach"]:
        api.post(f"{target}/start", start)
        return 0
    from wharfie.cli.foreground import Foreground

    front = Foreground(api, tty=tty, detach_keys=body.get("DetachKeys", ""))
    connection = api.connect()
    connection.send("POST", f"{target}/start", json.dumps(start).encode(), upgrade=True)
    check(connection.response())
    try:
        front.enter_raw_mode(stdin=stdin)
        front.follow_size(target)
        if front.relay(*connection.hijack(), stdin=stdin):
            return 0
    finally:
        front.leave()
    try:
        code: int | None = api.get(f"{target}/json")["ExitCode"]
    except WharfieError as error:
        raise CommandError(f"the command's exit code is lost: {error}") from None
    return 0 if code is None else code


def _name(text: str) -> str:
    from wharfie.client.api import quote

    return quote(text)
