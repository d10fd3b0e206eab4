"""Where the daemon listens, and a connected socket to it.

``_socket`` is the C half of ``socket``; the Python half costs 12 ms for enumerations nobody needs here.
"""

from __future__ import annotations

import _socket
import posix

from wharfie.client.errors import DaemonUnreachable, InvalidHost
from wharfie.support.environment import variable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wharfie.client.tls import Tls

ROOT_SOCKET = "/run/wharfie/wharfie.sock"
PORT = 2375
TLS_PORT = 2376
"""Where a daemon on TCP is when nobody says a port."""


def default_socket() -> str:
    """The socket of this user's own daemon: root's is the system's."""
    if posix.geteuid() == 0:
        return ROOT_SOCKET
    runtime = variable("XDG_RUNTIME_DIR") or f"/run/user/{posix.getuid()}"
    return f"{runtime}/wharfie/wharfie.sock"


class Address:
    """A daemon's address: ``unix:///path``, ``tcp://host:port`` or ``ssh://user@host``."""

    __slots__ = ("any_port", "is_default", "path", "port", "remote", "said_by", "text", "tls")

    def __init__(self, text: str | None) -> None:
        """Read ``text`` (None: the default socket); raises InvalidHost."""
        default = f"unix://{default_socket()}"
        self.is_default = text is None or text == default
        self.text = text or default
        self.said_by = ""
        """The environment variable that says so, if one does."""
        self.any_port = False
        self.path = ""
        self.port = 0
        self.remote = False
        self.tls: Tls | None = None
        """Certificates, for a daemon on TCP."""
        scheme, separator, rest = self.text.partition("://")
        if not separator:
            scheme, rest = ("unix", self.text) if self.text.startswith("/") else ("tcp", self.text)
            self.text = f"{scheme}://{rest}"
        if scheme == "unix" and rest:
            self.path = rest
        elif scheme in ("tcp", "http"):
            place = rest.rstrip("/")
            # [::1] has colons, and no port
            host, colon, port = place.rpartition(":") if not place.endswith("]") else (place, "", "")
            if not colon:
                host, port, self.any_port = place, str(PORT), True
                self.text = f"{scheme}://{place}:{port}"
            if not port.isdigit() or not 0 < int(port) < 65536:
                raise InvalidHost(f'unable to parse daemon host "{self.text}": want tcp://HOST:PORT')
            self.path, self.port = host.strip("[]") or "127.0.0.1", int(port)
        elif scheme == "ssh":
            from wharfie.client import ssh

            ssh.command(self.text)
            self.remote = True
        else:
            raise InvalidHost(
                f'unable to parse daemon host "{self.text}": want unix:///PATH, tcp://HOST:PORT '
                "or ssh://USER@HOST"
            )

    def secure(self, tls: Tls | None) -> None:
        """Have connections use these certificates."""
        self.tls = tls
        if tls is not None and self.any_port:
            self.text = f"{self.text.removesuffix(str(PORT))}{TLS_PORT}"
            self.port = TLS_PORT

    @property
    def host(self) -> str:
        """What a request calls the daemon: its address, where there may be a choice."""
        name = f"[{self.path}]" if ":" in self.path else self.path
        return f"{name}:{self.port}" if self.port else "wharfie"

    def connect(self) -> _socket.socket:
        """A new connection; raises DaemonUnreachable."""
        if self.remote:
            from wharfie.client import ssh

            return ssh.connect(self.text)
        if not self.port:
            sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
            try:
                sock.connect(self.path)
            except OSError as error:
                sock.close()
                raise self.unreachable(error) from error
            return sock
        problem: OSError | None = None
        try:
            found = _socket.getaddrinfo(self.path, self.port, 0, _socket.SOCK_STREAM)
        except OSError as error:
            raise self.unreachable(error) from error
        for family, kind, protocol, _, target in found:
            sock = _socket.socket(family, kind | _socket.SOCK_CLOEXEC, protocol)
            try:
                sock.connect(target)
                sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
            except OSError as error:
                sock.close()
                problem = error
                continue
            if self.tls is None:
                return sock
            from wharfie.client import tls

            return tls.connect(f"{self.path}:{self.port}", sock, self.path, self.tls)
        raise self.unreachable(problem) from problem

    def unreachable(self, error: OSError | None) -> DaemonUnreachable:
        """The sentence for a connection that failed."""
        place = f"{self.text} (as {self.said_by} says)" if self.said_by else self.text
        if isinstance(error, PermissionError):
            return DaemonUnreachable(
                f"permission denied while trying to connect to the wharfie daemon socket at {place}: "
                "be root, or a member of the socket's group"
            )
        return DaemonUnreachable(f"Cannot connect to the wharfie daemon at {place}. Is the daemon running?")
