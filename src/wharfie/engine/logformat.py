"""A container's log lines as syslog's and the journal's messages, by its options."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterable
from typing import Protocol

from wharfie.engine.container import Container
from wharfie.engine.logconfig import attributes, start_failed, tag
from wharfie.logs import journal, syslog
from wharfie.logs.decode import Run, time_of
from wharfie.logs.syslog import Target
from wharfie.wire import stdcopy


class Format(Protocol):
    """How lines are written, and where they go."""

    target: Target
    tls: ssl.SSLContext | None

    def messages(self, entries: Iterable[Run]) -> list[bytes]:
        """One message for each line."""
        ...

    def unreachable(self, error: OSError) -> str:
        """What Docker says when the service cannot be reached."""
        ...


class Syslog:
    """The driver ``syslog``."""

    def __init__(self, container: Container) -> None:
        options = container.record.log_options
        self.target = syslog.address(options.get("syslog-address", ""))
        self.tls = _tls(options) if self.target.kind == "tcp+tls" else None
        self._style = syslog.Style(
            format=syslog.format_of(options.get("syslog-format", "")),
            facility=syslog.facility(options.get("syslog-facility", "")),
            tag=tag(container, options),
            hostname=socket.gethostname(),
            framed=self.target.framed,
        )

    def messages(self, entries: Iterable[Run]) -> list[bytes]:
        """One message for each line."""
        found: list[bytes] = []
        for run in entries:
            error, when = run.stream == stdcopy.STDERR, time_of(run.stamp)
            found += [syslog.message(self._style, text, when, error=error) for text in run.texts]
        return found

    def unreachable(self, error: OSError) -> str:
        """What Docker says when the service cannot be reached."""
        target = self.target
        if not target.host and not target.path:
            return str(error)
        kind, place = target.kind.removesuffix("+tls"), target.path
        if target.host:
            place = f"[{target.host}]" if ":" in target.host else target.host
            place = f"{place}:{target.port}"
        if isinstance(error, socket.gaierror):
            return f"dial {kind}: lookup {target.host}: no such host"
        if isinstance(error, ssl.SSLError):
            return f"tls: {error.reason or error}"
        if isinstance(error, TimeoutError):
            return f"dial {kind} {place}: i/o timeout"
        # asyncio puts a sentence of its own around the kernel's
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        return f"dial {kind} {place}: connect: {reason[:1].lower()}{reason[1:]}"


class Journal:
    """The driver ``journald``."""

    tls: ssl.SSLContext | None = None

    def __init__(self, container: Container) -> None:
        self.target = Target("unixgram", path=journal.SOCKET)
        options = container.record.log_options
        name = tag(container, options)
        extra = {journal.field_name(key): value for key, value in attributes(container, options).items()}
        extra.pop("", None)
        extra.pop("TAG", None)
        self._common = journal.prefix(
            {
                "CONTAINER_ID": container.short_id,
                "CONTAINER_ID_FULL": container.id,
                "CONTAINER_NAME": container.name,
                "CONTAINER_TAG": name,
                "IMAGE_NAME": container.config.image,
                "SYSLOG_IDENTIFIER": name,
                **extra,
            }
        )

    def messages(self, entries: Iterable[Run]) -> list[bytes]:
        """One message for each line; empty lines have none, as with Docker."""
        found: list[bytes] = []
        for run in entries:
            error, partial = run.stream == stdcopy.STDERR, not run.newline
            found += [
                journal.entry(self._common, text, run.stamp, error=error, partial=partial)
                for text in run.texts
                if text
            ]
        return found

    def unreachable(self, error: OSError) -> str:
        """What Docker says when the service cannot be reached."""
        return "journald is not enabled on this host"


def format_for(container: Container) -> Format:
    """The form of its driver; raises BadLogOption."""
    return Syslog(container) if container.record.log_driver == "syslog" else Journal(container)


def _tls(options: dict[str, str]) -> ssl.SSLContext:
    authority = options.get("syslog-tls-ca-cert") or None
    certificate = options.get("syslog-tls-cert", "")
    try:
        context = ssl.create_default_context(cafile=authority)
        if certificate:
            context.load_cert_chain(certificate, options.get("syslog-tls-key") or None)
    except OSError as error:
        raise start_failed(f"could not load the certificates for syslog: {error}") from error
    # as Docker: that the option is there counts, whatever it says
    if options.get("syslog-tls-skip-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
