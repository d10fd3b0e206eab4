"""Forwarding of the host, IPv4 or IPv6: switched on if it was off, and then, at the end, off again.

That we switched it on is remembered in a file on a tmpfs, as long as the kernel remembers it: until the next
boot. ip-sysctl in the kernel's documentation: ``ip_forward``, ``forwarding``, ``accept_ra`` (a host that
forwards IPv6 takes no router's advertisements any more, unless ``accept_ra`` is 2: what it was is noted).
"""

from __future__ import annotations

import logging
import os

from wharfie.network.model import NetworkUnavailable
from wharfie.support.files import atomic_write, read_file

_SWITCH = "/proc/sys/net/ipv4/ip_forward"
_SWITCH6 = "/proc/sys/net/ipv6/conf/all/forwarding"
_DEVICES6 = "/proc/sys/net/ipv6/conf"
_log = logging.getLogger(__name__)


class Forwarding:
    """The switch, and whether it was us."""

    def __init__(self, exec_root: str, switch: str = "", *, ipv6: bool = False) -> None:
        self._switch = switch or (_SWITCH6 if ipv6 else _SWITCH)
        self._ipv6 = ipv6
        self._what = "IPv6" if ipv6 else "IPv4"
        self._mark = os.path.join(exec_root, f"switched-on-ip{'v6' if ipv6 else ''}-forward")

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
            listening = _listening() if self._ipv6 else []
            atomic_write(self._mark, "\n".join(["1", *listening, ""]).encode(), sync=False)
            for device in listening:
                _write(f"{_DEVICES6}/{device}/accept_ra", b"2")
            _write(self._switch, b"1")
        except OSError as error:
            raise NetworkUnavailable(
                f"{self._what} forwarding cannot be switched on ({error.strerror}: {error.filename}); "
                "switch it on with sysctl net.ipv4.ip_forward=1, or start with --ip-forward=false"
            ) from error
        _log.info("switched on %s forwarding (%s), which was off", self._what, self._name())

    def restore(self) -> None:
        """Switch it off if it was us who switched it on; raises OSError."""
        if not os.path.exists(self._mark):
            return
        devices = read_file(self._mark).decode().split()[1:]
        _write(self._switch, b"0")
        for device in devices:
            if os.path.exists(f"{_DEVICES6}/{device}/accept_ra"):
                _write(f"{_DEVICES6}/{device}/accept_ra", b"1")
        os.unlink(self._mark)
        _log.info("switched %s forwarding off again", self._what)

    def _name(self) -> str:
        return self._switch.removeprefix("/proc/sys/").replace("/", ".")

    def _on(self) -> bool:
        try:
            return read_file(self._switch).strip() == b"1"
        except FileNotFoundError:
            return False


class Routing:
    """Both families, as far as that is ``wanted``."""

    def __init__(self, exec_root: str, *, wanted: bool) -> None:
        self._wanted = wanted
        self._four = Forwarding(exec_root)
        self._six = Forwarding(exec_root, ipv6=True)

    def lone(self) -> bool:
        """Whether nobody but us has this host forward packets."""
        return self._wanted and self._four.ours()

    def enable(self, *, ipv6: bool) -> None:
        """Have it forward them; raises NetworkUnavailable."""
        if self._wanted:
            self._four.enable()
            if ipv6:
                self._six.enable()

    def rest6(self) -> None:
        """Nothing of IPv6 is to be forwarded because of us."""
        try:
            self._six.restore()
        except OSError as error:
            _log.warning("forwarding of IPv6 stays on: %s", error)

    def restore(self) -> None:
        """As it was; raises OSError."""
        self.rest6()
        self._four.restore()


def _listening() -> list[str]:
    """Devices that take a router's advertisements as long as the host forwards nothing."""
    found = []
    for device in os.listdir(_DEVICES6):
        path = f"{_DEVICES6}/{device}/accept_ra"
        if device not in ("all", "default", "lo") and read_file(path).strip() == b"1":
            found.append(device)
    return found


def _write(path: str, value: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value)
    finally:
        os.close(fd)
