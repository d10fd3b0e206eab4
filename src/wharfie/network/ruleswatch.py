"""Notices at once when somebody removes our rules: a firewall that is reloaded, ``nft flush ruleset``.

nf_tables tells every listener of its group what changes; what is no removal is of no interest, and what
follows within a moment is one change.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable

from wharfie.linux.netlink import NETFILTER, NFTABLES

_GROUP = 7
_ADD_MEMBERSHIP, _SOL_NETLINK = 1, 270
_REMOVALS = frozenset(NFTABLES << 8 | kind for kind in (2, 5, 8))
"""NFT_MSG_DELTABLE, DELCHAIN, DELRULE."""
_MOMENT = 0.05
_log = logging.getLogger(__name__)


class RulesWatch:
    """Calls ``suspect`` a moment after rules went, whoever removed them; belongs to the event loop."""

    def __init__(self, suspect: Callable[[], None]) -> None:
        self._suspect = suspect
        self._pending: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket: socket.socket | None = None
        try:
            self._socket = socket.socket(socket.AF_NETLINK, kind, NETFILTER)
            self._socket.bind((0, 0))
            self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _GROUP)
        except OSError as error:
            _log.warning("changes of the firewall are noticed after a while only: %s", error)
            self.close()
            return
        self._loop.add_reader(self._socket.fileno(), self._readable)

    def close(self) -> None:
        """Watch no more."""
        if self._pending is not None:
            self._pending.cancel()
        if self._socket is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def _readable(self) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            # ENOBUFS: more than the queue holds, so there is every reason to look
            self._later()
            return
        start = 0
        while start + 16 <= len(data):
            length = int.from_bytes(data[start : start + 4], "little")
            if int.from_bytes(data[start + 4 : start + 6], "little") in _REMOVALS:
                self._later()
                return
            start += max(16, (length + 3) & ~3)

    def _later(self) -> None:
        if self._pending is None:
            self._pending = self._loop.call_later(_MOMENT, self._look)

    def _look(self) -> None:
        self._pending = None
        self._suspect()
