"""Log lines as syslog messages: formats, priorities, addresses (RFC 3164, 5424, 5425)."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from wharfie.errors import InvalidArgument

FORMATS = ("", "rfc3164", "rfc5424", "rfc5424micro")
LOCAL = ("/dev/log", "/var/run/syslog", "/var/run/log")
"""Where a machine's own syslog listens."""
_FACILITIES = (
    "kern",
    "user",
    "mail",
    "daemon",
    "auth",
    "syslog",
    "lpr",
    "news",
    "uucp",
    "cron",
    "authpriv",
    "ftp",
)
_LOCALS = {f"local{number}": 16 + number for number in range(8)}
_KNOWN = {**{name: number for number, name in enumerate(_FACILITIES)}, **_LOCALS}
_ERROR, _INFORMATION = 3, 6
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_PORTS = {"udp": 514, "tcp": 514, "tcp+tls": 6514}


@dataclass(frozen=True, slots=True)
class Target:
    """Where messages go: ``path`` for a Unix socket (empty: the machine's own), else host and port."""

    kind: str = "unix"
    path: str = ""
    host: str = ""
    port: int = 0

    @property
    def framed(self) -> bool:
        """Whether RFC 5425's length goes before a message of RFC 5424."""
        return self.kind == "tcp+tls"


@dataclass(frozen=True, slots=True)
class Style:
    """How messages are written."""

    format: str = ""
    facility: int = 3
    tag: str = ""
    hostname: str = ""
    framed: bool = False
    pid: int = field(default_factory=os.getpid)


def address(text: str) -> Target:
    """``syslog-address``; raises InvalidArgument."""
    if not text:
        return Target()
    parts = urlsplit(text)
    kind = parts.scheme
    if kind in ("unix", "unixgram"):
        if not parts.path.startswith("/"):
            raise InvalidArgument(f"invalid syslog address '{text}': the path of the socket must be absolute")
        return Target(kind, path=parts.path)
    if kind not in _PORTS:
        raise InvalidArgument(f"unsupported scheme: '{kind}'")
    try:
        port = parts.port
    except ValueError:
        raise InvalidArgument(f"invalid syslog address '{text}': there is no such port") from None
    if not parts.hostname:
        raise InvalidArgument(f"invalid syslog address '{text}': it names no host")
    return Target(kind, host=parts.hostname, port=_PORTS[kind] if port is None else port)


def facility(text: str) -> int:
    """``syslog-facility``, by name or number; raises InvalidArgument."""
    if not text:
        return _KNOWN["daemon"]
    if text in _KNOWN:
        return _KNOWN[text]
    if text.isascii() and text.isdigit() and int(text) <= 23:
        return int(text)
    raise InvalidArgument("invalid syslog facility")


def format_of(text: str) -> str:
    """``syslog-format``; raises InvalidArgument."""
    if text not in FORMATS:
        raise InvalidArgument("invalid syslog format")
    return text


def message(style: Style, line: bytes, time_ns: int, *, error: bool) -> bytes:
    """One line of output as a message, with the end or the length that a stream needs."""
    priority = style.facility << 3 | (_ERROR if error else _INFORMATION)
    if style.format.startswith("rfc5424"):
        stamp = _precise(time_ns, micro=style.format.endswith("micro"))
        head = f"<{priority}>1 {stamp} {style.hostname} {style.tag} {style.pid} {style.tag} - "
    else:
        host = f"{style.hostname} " if style.format else ""
        head = f"<{priority}>{_short(time_ns)} {host}{style.tag}[{style.pid}]: "
    whole = head.encode() + line
    if not whole.endswith(b"\n"):
        whole += b"\n"
    if style.framed and style.format.startswith("rfc5424"):
        return b"%d %b" % (len(whole), whole)
    return whole


def _short(time_ns: int) -> str:
    now = time.localtime(time_ns // 1_000_000_000)
    return f"{_MONTHS[now.tm_mon - 1]} {now.tm_mday:2d} {time.strftime('%H:%M:%S', now)}"


def _precise(time_ns: int, *, micro: bool) -> str:
    seconds, fraction = divmod(time_ns, 1_000_000_000)
    now = time.localtime(seconds)
    zone = time.strftime("%z", now)
    zone = "Z" if zone in ("", "+0000") else f"{zone[:3]}:{zone[3:]}"
    return time.strftime("%Y-%m-%dT%H:%M:%S", now) + (f".{fraction // 1000:06d}" if micro else "") + zone
