"""What every command is given: the daemon's API, the user's settings, and a way to say things."""

from __future__ import annotations

import posix

from wharfie.client.api import Api

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wharfie.client.address import Address


DEFAULT = "default"
"""The context that is no other: the daemon of this machine, or the one of -H and WHARFIE_HOST."""
CURRENT = "wharfie-context"


def current_name(directory: str) -> str:
    """The context that ``context use`` made the current one of these settings."""
    try:
        fd = posix.open(f"{directory}/{CURRENT}", posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return DEFAULT
    data = posix.read(fd, 4096)
    posix.close(fd)
    return data.decode("utf-8", "replace").strip() or DEFAULT


class Context:
    """One invocation."""

    __slots__ = ("_settings", "api", "config_directory", "debug", "name")

    def __init__(
        self, address: Address, config_directory: str, debug: bool, *, name: str = DEFAULT, may_start: bool
    ) -> None:
        """``may_start``: a daemon is started when nobody listens at the default socket."""
        self.name = name
        self.api = Api(address, self._start_daemon if may_start and address.is_default else None)
        self.config_directory = config_directory
        self.debug = debug
        self._settings: dict[str, Any] | None = None

    def _start_daemon(self) -> None:
        from wharfie.client.autostart import ensure

        started = ensure(self.api.address)
        if started is not None:
            warn(f"wharfie: started the daemon (pid {started.pid}), its log is {started.log}")

    @property
    def settings(self) -> dict[str, Any]:
        """The user's ``config.json``; empty when there is none, or when it cannot be read."""
        if self._settings is None:
            self._settings = {}
            try:
                with open(f"{self.config_directory}/config.json", "rb", 0) as file:
                    data = file.read()
            except OSError:
                return self._settings
            from wharfie.support import json

            try:
                value = json.loads(data)
                self._settings = value if isinstance(value, dict) else {}
            except ValueError as error:
                warn(f"WARNING: Error loading config file: {self.config_directory}/config.json: {error}")
        return self._settings

    def detach_keys(self, options: dict[str, Any]) -> str:
        """The keys that detach: the option's, else the settings', else empty (Docker's ctrl-p,ctrl-q)."""
        return str(options.get("detach-keys") or self.settings.get("detachKeys") or "")


def write(fd: int, data: bytes) -> None:
    """Write all of it."""
    view = memoryview(data)
    while view:
        view = view[posix.write(fd, view) :]


def say(text: str) -> None:
    """A line on standard output, at once."""
    write(1, text.encode("utf-8", "surrogateescape") + b"\n")


def warn(text: str) -> None:
    """A line on standard error, at once."""
    write(2, text.encode("utf-8", "surrogateescape") + b"\n")
