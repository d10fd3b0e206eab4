"""A daemon over ssh(1): a connection is a process, ``ssh … wharfie system dial-stdio`` behind a socket."""

from __future__ import annotations

import _socket
import os
import shlex

from wharfie.client.errors import DaemonUnreachable, InvalidHost

REMOTE = "wharfie"
"""The command on the other machine."""


def command(text: str) -> list[str]:
    """The command line for ``ssh://[USER@]HOST[:PORT][/SOCKET]``; raises InvalidHost."""
    place, slash, path = text.removeprefix("ssh://").partition("/")
    user, _, host = place.rpartition("@")
    port = ""
    if ":" in host and not host.endswith("]"):
        host, _, port = host.rpartition(":")
    host = host.strip("[]")
    # a host or user that begins with a dash would be an option (CVE-2017-1000117)
    if (
        not host
        or host.startswith("-")
        or user.startswith("-")
        or ":" in user
        or (port and not port.isdigit())
    ):
        raise InvalidHost(
            f'unable to parse daemon host "{text}": want ssh://[USER@]HOST[:PORT][/PATH/OF/SOCKET]'
        )
    words = ["ssh", "-o", "ConnectTimeout=30", "-T"]
    words += ["-l", user] if user else []
    words += ["-p", port] if port else []
    remote = [REMOTE, *(["-H", f"unix:///{path}"] if slash and path else []), "system", "dial-stdio"]
    # ssh(1) hands the other side one line for its shell: a socket's name is no part of that
    return [*words, "--", host, *map(shlex.quote, remote)]


def connect(text: str) -> _socket.socket:
    """A new connection; raises InvalidHost, and DaemonUnreachable where there is no ssh."""
    words = command(text)
    ours, theirs = _socket.socketpair()
    end = theirs.fileno()
    try:
        os.posix_spawnp(
            words[0],
            words,
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, end, 0), (os.POSIX_SPAWN_DUP2, end, 1)],
            # Ctrl-C is for the command line, which may still have something to say
            setpgroup=0,
        )
    except OSError as error:
        ours.close()
        raise DaemonUnreachable(f"ssh cannot be started for {text}: {error.strerror}") from error
    finally:
        theirs.close()
    return ours
