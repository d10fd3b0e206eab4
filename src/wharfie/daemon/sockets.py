"""The sockets that the daemon listens on.

A Unix socket is for root and one group (0660). TCP means root for whoever reaches the port, so it needs TLS
with client certificates; less than that only when somebody says so in so many words (``--tls=false``,
``--tlsverify=false``). ``fd://`` takes sockets that systemd opened (sd_listen_fds(3)).
"""

from __future__ import annotations

import errno
import grp
import logging
import os
import socket
import ssl
from collections.abc import Sequence
from typing import NamedTuple

from wharfie.daemon.config import Tls
from wharfie.errors import Conflict, InvalidArgument, Unavailable

DEFAULT_GROUP = "wharfie"
_FIRST_PASSED = 3
_log = logging.getLogger(__name__)


class Passed(NamedTuple):
    """A socket that systemd opened."""

    number: int
    name: str
    socket: socket.socket


class Listener:
    """A bound socket, and how to talk on it."""

    def __init__(
        self, sock: socket.socket, tls: ssl.SSLContext | None = None, path: str = "", name: str = ""
    ) -> None:
        self.socket = sock
        self.name = name or f"unix://{path}"
        """Where it listens."""
        self.tls = tls
        self._path = path
        self._inode = _inode(path) if path else None

    def remove(self) -> None:
        """Remove the socket's file, unless somebody has put another there."""
        self.socket.close()
        if self._path and _inode(self._path) == self._inode:
            os.unlink(self._path)


def open_listeners(host: str, *, group: str, tls: Tls, passed: Sequence[Passed] = ()) -> list[Listener]:
    """Bind the sockets for one ``--host``, or find them among those that were ``passed``.

    Raises:
        Conflict: another daemon listens there.
        InvalidArgument: TCP without the protection it needs, or an unknown group.
        Unavailable: it cannot be bound.
    """
    scheme, _, rest = host.partition("://")
    if scheme == "unix":
        return [_unix(rest, group)]
    if scheme == "fd":
        return [_of_systemd(sock, tls) for sock in _chosen(rest, passed)]
    return [_tcp(rest, tls)]


def _unix(path: str, group: str) -> Listener:
    gid = _group(group)
    probe = socket.socket(socket.AF_UNIX)
    try:
        probe.connect(path)
        raise Conflict(f"another daemon listens on {path}: stop it, or choose another --host")
    except (FileNotFoundError, ConnectionRefusedError):
        # nobody, or what a killed daemon left
        pass
    except OSError as error:
        raise Unavailable(f"cannot listen on {path}: {error.strerror}") from error
    finally:
        probe.close()
    sock = socket.socket(socket.AF_UNIX)
    try:
        os.makedirs(os.path.dirname(path), mode=0o711, exist_ok=True)
        if os.path.lexists(path):
            os.unlink(path)
        # bind(2) makes the file with the socket's own mode: the umask is all threads'
        os.fchmod(sock.fileno(), 0o600)
        sock.bind(path)
        os.chown(path, -1, gid)
        os.chmod(path, 0o660)
    except OSError as error:
        sock.close()
        raise Unavailable(f"cannot listen on {path}: {error.strerror}") from error
    return Listener(sock, path=path)


def _group(name: str) -> int:
    try:
        return grp.getgrnam(name or DEFAULT_GROUP).gr_gid
    except KeyError:
        pass
    if name.isdigit():
        return int(name)
    if name:
        raise InvalidArgument(f"there is no group {name}: make it, or choose another --group")
    return os.getgid()


def _tcp(address: str, tls: Tls) -> Listener:
    context = _context(address, tls)
    name, _, port = address.rpartition(":")
    try:
        found = socket.getaddrinfo(name.strip("[]"), int(port), type=socket.SOCK_STREAM)
        family, kind, protocol, _, where = found[0]
        sock = socket.socket(family, kind, protocol)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(where)
        except OSError:
            sock.close()
            raise
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Conflict(f"another program listens on {address}") from error
        raise Unavailable(f"cannot listen on {address}: {error.strerror}") from error
    return Listener(sock, context, name=f"tcp://{address}")


def _context(address: str, tls: Tls) -> ssl.SSLContext | None:
    if tls.enabled is False and not tls.verify:
        _log.warning("anybody who reaches %s is root on this machine: there is no TLS on it", address)
        return None
    verify = tls.verify if tls.verify is not None else False
    if not verify and (tls.enabled is not True or tls.verify is None):
        raise InvalidArgument(
            f"refusing to listen on tcp://{address} without client certificates: give --tlsverify with "
            "--tlscacert, --tlscert and --tlskey, or say --tls=false to let everybody in"
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(tls.certificate, tls.key)
        if verify:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(tls.ca)
    except (OSError, ssl.SSLError) as error:
        raise InvalidArgument(f"the TLS files cannot be used: {error}") from error
    if not verify:
        _log.warning(
            "anybody who reaches %s is root on this machine: no client certificate is asked", address
        )
    return context


def _of_systemd(sock: socket.socket, tls: Tls) -> Listener:
    """A socket that was passed; one of TCP needs the same protection as one of our own."""
    where = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return Listener(sock, name=f"unix://{where}")
    address = f"{where[0]}:{where[1]}"
    return Listener(sock, _context(address, tls), name=f"tcp://{address}")


def take_passed() -> list[Passed]:
    """The sockets that systemd opened for this process, from now on for nobody whom it starts."""
    count = os.environ.pop("LISTEN_FDS", "")
    names = os.environ.pop("LISTEN_FDNAMES", "").split(":")
    if os.environ.pop("LISTEN_PID", "") != str(os.getpid()) or not count.isdigit():
        return []
    found = []
    for number in range(int(count)):
        fd = _FIRST_PASSED + number
        try:
            os.set_inheritable(fd, False)
            sock = socket.socket(fileno=fd)
        except OSError as error:
            raise InvalidArgument(f"descriptor {fd}, passed for fd://, is no socket") from error
        found.append(Passed(fd, names[number] if number < len(names) else "", sock))
    return found


def _chosen(wanted: str, passed: Sequence[Passed]) -> list[socket.socket]:
    """All for ``fd://`` and ``fd://*``, one by its number or its name."""
    if not passed:
        raise InvalidArgument("no sockets were passed for fd://: it is for systemd's socket activation")
    found = [one.socket for one in passed if wanted in ("", "*", str(one.number), one.name)]
    if not found:
        raise InvalidArgument(f"systemd passed no socket of the name {wanted} for fd://{wanted}")
    return found


def _inode(path: str) -> tuple[int, int] | None:
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
