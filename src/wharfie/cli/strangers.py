"""An engine that DOCKER_HOST or DOCKER_CONTEXT leads to, and that is none of ours.

Both are obeyed, for a person may have set them for us. Or for Docker, long ago, in a shell's start-up file:
so it is said whose containers these are, before anything is done with them.
"""

from __future__ import annotations

from wharfie.cli.context import warn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wharfie.client.address import Address
    from wharfie.client.http import Connection


def warn_of_another(address: Address, connection: Connection) -> None:
    """Ask who answers on a new connection; raises BrokenAnswer."""
    connection.send("GET", "/_ping")
    answer = connection.response()
    answer.read()
    name = answer.headers.get("server", "another engine")
    if not name.startswith("Wharfie/"):
        warn(
            f"WARNING: {address.said_by} leads to {name.partition(' ')[0]} at {address.text}, "
            "not to wharfie. WHARFIE_HOST, -H or -c say which engine is meant."
        )
