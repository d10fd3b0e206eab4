"""IPv4 forwarding of the host: switched on if it was off, and then, at the end, off again.

That we switched it on is remembered in a file on a tmpfs, as long as the kernel remembers it: until the next
boot. ip-sysctl in the kernel's documentation: ``ip_forward``.
"""

from __future__ import annotations

import logging
import os

from wharfie.network.model import NetworkUnavailable
from wharfie.support.files import atomic_write, read_file

_SWITCH = "/proc/sys/net/ipv4/ip_forward"
_log = logging.getLogger(__name__)


class Forwarding:
    """The switch, and whether it was us."""

    def __init__(self, exec_root: str, switch: str = _SWITCH) -> None:
        self._switch = switch
        self._mark = os.path.join(exec_root, "switched-on-ip-forward")

    def ours(self) -> bool:
        """Whether forwarding is off now, or on because of us: nobody else asked for it."""
        return os.path.exists(self._mark) or not self._on()

    def enable(self) -> None:
        """Switch it on if it is off; raises NetworkUnavailable."""
        if self._on():
            return
        try:
            # the mark first: a crash between the two leaves a mark to a switch that is off, which harms
            # nobody
            atomic_write(self._mark, b"1\n", sync=False)
            self._write(b"1")
        except OSError as error:
            raise NetworkUnavailable(
                f"IPv4 forwarding cannot be switched on ({error.strerror}: {error.filename}); switch it on "
                "with sysctl net.ipv4.ip_forward=1, or start with --ip-forward=false"
            ) from error
        _log.info("switched on IPv4 forwarding (net.ipv4.ip_forward), which was off")

    def restore(self) -> None:
        """Switch it off if it was us who switched it on; raises OSError."""
        if not os.path.exists(self._mark):
            return
        self._write(b"0")
        os.unlink(self._mark)
        _log.info("switched IPv4 forwarding off again")

    def _on(self) -> bool:
        return read_file(self._switch).strip() == b"1"

    def _write(self, value: bytes) -> None:
        fd = os.open(self._switch, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, value)
        finally:
            os.close(fd)
