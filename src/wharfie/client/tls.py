"""TLS to a daemon on TCP: whose certificates, and a connection that is a plain socket for everybody else.

The handshake is done before :func:`connect` returns. Then a thread passes bytes between the TCP connection
and one end of a socketpair; the other end is polled, half-closed and sent files to as a Unix socket is.
"""

from __future__ import annotations

import _socket
import os
import select
import socket
import ssl
import threading

from wharfie.client.errors import BadSettings, DaemonUnreachable
from wharfie.support.environment import variable
from wharfie.support.tls import TlsEnd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FILES = ("ca.pem", "cert.pem", "key.pem")
_PART = 1 << 18
_PEM = "-----BEGIN "
# OpenSSL's names, and how Go's library says the same
_WORDS = {
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "remote error: tls: certificate required",
    "TLSV1_ALERT_UNKNOWN_CA": "remote error: tls: unknown certificate authority",
    "SSLV3_ALERT_BAD_CERTIFICATE": "remote error: tls: bad certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "remote error: tls: expired certificate",
    "WRONG_VERSION_NUMBER": "tls: first record does not look like a TLS handshake",
}
# verify_code of OpenSSL
_REFUSED = {
    10: "certificate has expired or is not yet valid",
    **dict.fromkeys((18, 19, 20, 21), "certificate signed by unknown authority"),
}


class Tls:
    """Certificates of one endpoint, by the paths of their files; empty ones are not used."""

    __slots__ = ("ca", "cert", "key", "verify")

    def __init__(self, ca: str = "", cert: str = "", key: str = "", *, verify: bool = True) -> None:
        """``verify``: the daemon's certificate has to be signed by ``ca`` and be for the address."""
        self.ca = ca
        self.cert = cert
        self.key = key
        self.verify = verify

    def context(self) -> ssl.SSLContext:
        """Ready for connections; raises BadSettings with Docker's words."""
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        made.check_hostname = self.verify
        made.verify_mode = ssl.CERT_REQUIRED if self.verify else ssl.CERT_NONE
        for path, name in zip((self.ca, self.cert, self.key), FILES, strict=True):
            if path and _PEM not in _text(path):
                raise BadSettings(f"failed to retrieve context tls info: {name} seems invalid")
        try:
            if self.ca:
                made.load_verify_locations(self.ca)
            elif self.verify:
                made.load_default_certs()
            if self.cert or self.key:
                made.load_cert_chain(self.cert, self.key)
        except (OSError, ValueError) as error:
            mismatch = getattr(error, "reason", "") == "KEY_VALUES_MISMATCH"
            what = "tls: private key does not match public key" if mismatch else f"tls: {error}"
            raise BadSettings(f"failed to retrieve context tls info: {what}") from None
        return made


def _text(path: str) -> str:
    try:
        with open(path, encoding="latin-1") as file:
            return file.read(10 << 20)
    except OSError as error:
        problem = (error.strerror or "").lower()
        raise BadSettings(f"unable to resolve docker endpoint: open {path}: {problem}") from None


def of_options(options: dict[str, Any], directory: str) -> Tls | None:
    """What ``--tls…``, DOCKER_TLS, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH say; None: no TLS."""
    verify = options.get("tlsverify")
    wanted = options.get("tls", bool(variable("DOCKER_TLS"))) or "tlsverify" in options
    if verify is None:
        verify = bool(variable("DOCKER_TLS_VERIFY"))
    if not wanted and not verify:
        return None
    place = variable("DOCKER_CERT_PATH") or directory
    paths = []
    for option, name in zip(("tlscacert", "tlscert", "tlskey"), FILES, strict=True):
        path = options.get(option) or f"{place}/{name}"
        # the authority's file has to be there; the client's own may be missing, unless it is named
        needless = option != "tlscacert" and not options.get(option) and not os.path.exists(path)
        paths.append("" if needless else path)
    return Tls(*paths, verify=bool(verify))


class Piped(_socket.socket):
    """The plain end of a connection with TLS."""

    problem = ""
    """Why there is nothing more, where that is no ordinary end."""


def connect(address: str, raw: _socket.socket, host: str, tls: Tls) -> Piped:
    """Do the handshake on a TCP connection to ``host``; raises DaemonUnreachable, BadSettings."""
    sock = socket.socket(fileno=raw.detach())
    try:
        end = TlsEnd(tls.context(), server=False, name=host)
        while not end.ready:
            end.begin()
            sock.sendall(end.outgoing(), socket.MSG_NOSIGNAL)
            if not end.ready:
                data = sock.recv(_PART)
                if not data:
                    raise DaemonUnreachable(f'error during connect: Get "https://{address}": EOF')
                end.receive(data)
                sock.sendall(end.outgoing(), socket.MSG_NOSIGNAL)
    except OSError as error:
        sock.close()
        raise DaemonUnreachable(f'error during connect: Get "https://{address}": {_said(error)}') from None
    except BaseException:
        sock.close()
        raise
    near, far = _socket.socketpair()
    ours = Piped(fileno=near.detach())
    pipe = _Pipe(end, sock, socket.socket(fileno=far.detach()), ours, address)
    threading.Thread(target=pipe.run, daemon=True).start()
    return ours


def _said(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        words = _REFUSED.get(error.verify_code, error.verify_message)
        return f"tls: failed to verify certificate: x509: {words}"
    reason = getattr(error, "reason", None)
    return _WORDS.get(reason or "", f"tls: {reason or error}")


class _Pipe:
    """Both directions of one connection, at the pace of the slower side."""

    def __init__(
        self, end: TlsEnd, outer: socket.socket, inner: socket.socket, told: Piped, address: str
    ) -> None:
        self._end = end
        self._outer = outer
        self._inner = inner
        self._told = told
        self._address = address

    def run(self) -> None:
        """Until neither side sends any more, or one is gone."""
        try:
            # what came with the handshake
            self._pass_in(b"")
            waiting = select.poll()
            waiting.register(self._outer, select.POLLIN)
            waiting.register(self._inner, select.POLLIN)
            from_daemon = True
            while from_daemon:
                for fd, _ in waiting.poll():
                    if fd == self._outer.fileno():
                        data = self._outer.recv(_PART)
                        from_daemon = bool(data) and self._pass_in(data)
                    elif not self._pass_out():
                        waiting.unregister(self._inner)
        except OSError as error:
            self._explain(error)
        finally:
            self._outer.close()
            self._inner.close()

    def _explain(self, error: OSError) -> None:
        if not isinstance(error, ssl.SSLError):
            # the other side has hung up; it may have said why
            try:
                while data := self._outer.recv(_PART):
                    self._end.receive(data)
            except OSError as better:
                error = better
        if isinstance(error, ssl.SSLError):
            self._told.problem = f'error during connect: Get "https://{self._address}": {_said(error)}'

    def _pass_in(self, data: bytes) -> bool:
        """From the daemon; whether there may be more."""
        plain = self._end.receive(data)
        if answer := self._end.outgoing():
            self._outer.sendall(answer, socket.MSG_NOSIGNAL)
        if plain:
            self._inner.sendall(plain, socket.MSG_NOSIGNAL)
        return not self._end.ended

    def _pass_out(self) -> bool:
        """To the daemon; whether there may be more."""
        data = self._inner.recv(_PART)
        if data:
            self._end.send(data)
        else:
            self._end.end()
        self._outer.sendall(self._end.outgoing(), socket.MSG_NOSIGNAL)
        return bool(data)
