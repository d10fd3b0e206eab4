"""``top``, ``diff`` and ``port``: short looks at one container."""

from __future__ import annotations

import sys

from wharfie.cli.context import Context
from wharfie.cli.errors import CommandError
from wharfie.cli.options import Command
from wharfie.cli.table import table
from wharfie.client.api import query, quote

TOP = Command(
    "top CONTAINER [ps OPTIONS]",
    "List the processes of a container",
    needs=1,
    mixes=False,
    aliases="container top, top",
)
DIFF = Command(
    "diff CONTAINER",
    "List what a container changed in its file system: A added, C changed, D deleted",
    needs=1,
    most=1,
    aliases="container diff, diff",
)
PORT = Command(
    "port CONTAINER [PRIVATE_PORT[/PROTO]]",
    "List a container's published ports",
    needs=1,
    most=2,
    aliases="container port, port",
)
_KINDS = ("C", "A", "D")
_WIDE = 20
"""Least width of a column of ``top``."""


def top(context: Context, arguments: list[str]) -> int:
    """``top``."""
    _, words = TOP.parse(arguments)
    asked = query(ps_args=" ".join(words[1:]))
    found = context.api.get(f"/containers/{quote(words[0])}/top{asked}")
    sys.stdout.write(table([found["Titles"], *found["Processes"]], least=_WIDE))
    return 0


def diff(context: Context, arguments: list[str]) -> int:
    """``diff``."""
    _, words = DIFF.parse(arguments)
    for change in context.api.get(f"/containers/{quote(words[0])}/changes") or []:
        sys.stdout.write(f"{_KINDS[change['Kind']]} {change['Path']}\n")
    return 0


def port(context: Context, arguments: list[str]) -> int:
    """``port``."""
    _, words = PORT.parse(arguments)
    found = context.api.get(f"/containers/{quote(words[0])}/json")["NetworkSettings"].get("Ports") or {}
    if len(words) > 1:
        wanted = words[1] if "/" in words[1] else f"{words[1]}/tcp"
        if not found.get(wanted):
            raise CommandError(f"Error: No public port '{words[1]}' published for {words[0]}")
        lines = [_binding(binding) for binding in found[wanted]]
    else:
        lines = [f"{name} -> {_binding(binding)}" for name in sorted(found) for binding in found[name] or []]
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


def _binding(binding: dict[str, str]) -> str:
    address = binding.get("HostIp", "")
    return f"[{address}]:{binding['HostPort']}" if ":" in address else f"{address}:{binding['HostPort']}"
