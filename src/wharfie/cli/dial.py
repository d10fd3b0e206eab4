"""``system dial-stdio``: a process that is a connection to the daemon, as ssh:// hosts need one."""

from __future__ import annotations

from wharfie.cli.context import Context
from wharfie.cli.options import Command
from wharfie.cli.streams import Relay

DIAL = Command(
    "system dial-stdio",
    "Connect standard input and output to the daemon's API",
    most=0,
)


def dial_stdio(context: Context, arguments: list[str]) -> int:
    """Copy in both directions until the daemon's side ends."""
    DIAL.parse(arguments)
    Relay(context.api.connect().sock, framed=False, stdin=True).run(b"")
    return 0
