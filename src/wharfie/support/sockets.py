"""Sockets that carry archives: over ``_socket``, as the public module costs a command line 12 ms."""

from __future__ import annotations

import _socket

_SO_SNDBUFFORCE = 32
_BUFFER = 4 << 20


def widen(sock: _socket.socket) -> None:
    """Let more wait in a Unix socket than everybody may: each end is woken less often (socket(7))."""
    if sock.family != _socket.AF_UNIX:
        return
    try:
        sock.setsockopt(_socket.SOL_SOCKET, _SO_SNDBUFFORCE, _BUFFER)
    except PermissionError:
        return  # without CAP_NET_ADMIN it is only slower
