"""One end of a TLS connection, apart from any socket: bytes in, bytes out.

Either side may end its direction and still receive (a close_notify, RFC 8446 §6.1), which asyncio's own TLS
cannot do, and ``docker run -i`` over TCP lives by it: the end of standard input is exactly that.
"""

from __future__ import annotations

import ssl

_PART = 1 << 18


class TlsEnd:
    """Feed it what arrives, send what :meth:`outgoing` gives."""

    def __init__(self, context: ssl.SSLContext, *, server: bool, name: str | None = None) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=server, server_hostname=name)
        self.ready = False
        """The handshake is done."""
        self.ended = False
        """The other side sends no more."""

    def begin(self) -> None:
        """Go on with the handshake; raises ssl.SSLError."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return
        self.ready = True

    def receive(self, data: bytes) -> bytes:
        """What the bytes from the other side say; raises ssl.SSLError."""
        self._incoming.write(data)
        if not self.ready:
            self.begin()
            if not self.ready:
                return b""
        parts = []
        try:
            while part := self._tls.read(_PART):
                parts.append(part)
            self.ended = True
        except ssl.SSLWantReadError:
            pass  # that was all for now
        except ssl.SSLZeroReturnError:
            self.ended = True
        return b"".join(parts)

    def send(self, data: bytes) -> None:
        """Say something, once :attr:`ready`."""
        view = memoryview(data)
        while view:
            view = view[self._tls.write(view) :]

    def end(self) -> None:
        """Say no more."""
        try:
            self._tls.unwrap()
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            return

    def outgoing(self) -> bytes:
        """What is to be sent to the other side now."""
        return self._outgoing.read()
