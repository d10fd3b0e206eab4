"""How registries are reached: Docker's mirrors, insecure registries, proxies and ``certs.d``.

HTTPS always, except for registries on loopback addresses and those configured as insecure: there certificates
are not checked, and plain HTTP is tried when nothing speaks TLS. A mirror stands for Docker Hub alone, is
asked first, and never gets the credentials meant for the Hub.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from wharfie.errors import InvalidArgument
from wharfie.images.reference import DEFAULT_DOMAIN

DEFAULT_HOST = "registry-1.docker.io"
CERTIFICATES = ("/etc/docker/certs.d", "/etc/wharfie/certs.d")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One place that answers for a registry."""

    host: str
    """``name[:port]``, as it stands in an address."""
    schemes: tuple[str, ...] = ("https",)
    """In the order in which they are tried."""
    insecure: bool = False
    """Certificates are not checked, and what is said in the clear is accepted."""
    mirror: bool = False
    prefix: str = ""
    """Of the path, before ``/v2/``."""


@dataclass(frozen=True, slots=True)
class Proxies:
    """Docker's ``proxies``; empty where none is wanted."""

    http: str = ""
    https: str = ""
    bypass: str = ""

    def of(self, url: str) -> str | None:
        """The proxy for an address; loopback addresses never have one."""
        parts = urlsplit(url)
        proxy = {"http": self.http, "https": self.https}.get(parts.scheme, "")
        host = parts.hostname or ""
        if not proxy or not host or self._bypasses(host, parts.port or _PORTS.get(parts.scheme, 0)):
            return None
        return proxy if "://" in proxy else f"http://{proxy}"

    def _bypasses(self, host: str, port: int) -> bool:
        address = _address(host)
        if host == "localhost" or (address is not None and address.is_loopback):
            return True
        for entry in self.bypass.replace(" ", ",").lower().split(","):
            if entry == "*" or (entry and _matches(entry, host.lower(), address, port)):
                return True
        return False


_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _address(host: str) -> _Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _matches(entry: str, host: str, address: _Address | None, port: int) -> bool:
    """One entry of ``NO_PROXY``: an address, a network, or a domain with those below it; maybe a port."""
    if address is not None:
        try:
            return address in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            pass  # with a port, or a name
    name, colon, wanted = entry.rpartition(":")
    if colon and wanted.isdigit():
        if int(wanted) != port:
            return False
        entry = name.strip("[]")
    entry = entry.removeprefix("*")
    if entry.startswith("."):
        return host.endswith(entry)
    return host == entry or host.endswith("." + entry)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the daemon's configuration says of registries."""

    mirrors: tuple[str, ...] = ()
    insecure: tuple[str, ...] = ()
    proxies: Proxies = Proxies()
    certificates: tuple[str, ...] = CERTIFICATES
    downloads: int = 3
    uploads: int = 5
    attempts: int = 5

    def is_insecure(self, domain: str) -> bool:
        """Whether a registry may be spoken to in the clear."""
        return is_insecure(domain, self.insecure)

    def endpoint(self, domain: str, *, insecure: bool = False) -> Endpoint:
        """The registry itself; ``insecure``: as if it were configured so."""
        insecure = insecure or self.is_insecure(domain)
        host = DEFAULT_HOST if domain == DEFAULT_DOMAIN else domain
        return Endpoint(host, ("https", "http") if insecure else ("https",), insecure)

    def endpoints(self, domain: str) -> list[Endpoint]:
        """Where to pull from, in order: mirrors, then the registry itself."""
        found = []
        for mirror in self.mirrors if domain == DEFAULT_DOMAIN else ():
            parts = urlsplit(mirror)
            insecure = parts.scheme == "http" or self.is_insecure(parts.netloc)
            found.append(Endpoint(parts.netloc, (parts.scheme,), insecure, True, parts.path.rstrip("/")))
        return [*found, self.endpoint(domain)]

    def tls(self, endpoint: Endpoint) -> ssl.SSLContext:
        """The TLS settings for an endpoint, certificates from disk included: call it in a thread.

        Raises:
            InvalidArgument: what is in ``certs.d`` cannot be used.
        """
        context = ssl.create_default_context()
        if endpoint.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        for top in self.certificates:
            _load(context, os.path.join(top, endpoint.host))
        return context


def is_insecure(domain: str, configured: Iterable[str] = ()) -> bool:
    """Whether a registry may be spoken to in the clear: loopback, or a name or network configured."""
    host = urlsplit("//" + domain).hostname or ""
    if host == "localhost" or domain in configured or host in configured:
        return True
    address = _address(host)
    if address is None:
        return False
    if address.is_loopback:
        return True
    for network in configured:
        try:
            if address in ipaddress.ip_network(network, strict=False):
                return True
        except ValueError:
            continue  # a name
    return False


def checked_mirror(text: str) -> str:
    """A mirror's address; raises InvalidArgument in Docker's words."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https"):
        raise InvalidArgument(
            f"invalid mirror: no scheme specified for \"{text}\": must use either 'https://' or 'http://'"
        )
    if not parts.netloc or parts.username or parts.password:
        raise InvalidArgument(f'invalid mirror: "{text}" must name a host, and no user or password')
    if parts.query or parts.fragment:
        raise InvalidArgument(f'invalid mirror: query or fragment at end of the URI "{text}"')
    return text


def _load(context: ssl.SSLContext, directory: str) -> None:
    """Docker's layout: ``*.crt`` are authorities, ``X.cert`` with ``X.key`` is ours."""
    try:
        names = sorted(os.listdir(directory))
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in names:
        path = os.path.join(directory, name)
        stem, _, kind = path.rpartition(".")
        try:
            if kind == "crt":
                context.load_verify_locations(path)
            elif kind == "cert":
                if f"{os.path.basename(stem)}.key" not in names:
                    raise InvalidArgument(
                        f"missing key {stem}.key for client certificate {path}. CA certificates must use the "
                        "extension .crt"
                    )
                context.load_cert_chain(path, f"{stem}.key")
            elif kind == "key" and f"{os.path.basename(stem)}.cert" not in names:
                raise InvalidArgument(f"missing client certificate {stem}.cert for key {path}")
        except (OSError, ssl.SSLError) as error:
            raise InvalidArgument(f"the certificate {path} cannot be used: {error}") from error
