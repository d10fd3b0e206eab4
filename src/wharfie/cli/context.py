"""What every command is given: the daemon's API, the user's settings, and a way to say things."""

from __future__ import annotations

import posix

from wharfie.client.api import Api
from wharfie.client.endpoint import DEFAULT
from wharfie.client.settings import Settings
from wharfie.support.environment import variable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wharfie.client.address import Address
    from wharfie.client.http import Connection


class Context:
    """One invocation."""

    __slots__ = ("api", "config_directory", "debug", "name", "user")

    def __init__(
        self, address: Address, config_directory: str, debug: bool, *, name: str = DEFAULT, may_start: bool
    ) -> None:
        """``may_start``: a daemon is started when nobody listens at the default socket."""
        self.name = name
        starter = self._start_daemon if may_start and address.is_default else None
        version = (variable("DOCKER_API_VERSION") or "").removeprefix("v")
        self.api = Api(address, starter, self._headers, version)
        # what is said to Docker's command line may well lead to Docker
        if address.said_by.startswith("DOCKER") and not address.is_default:
            self.api.greeter = self._greet
        self.config_directory = config_directory
        self.debug = debug
        self.user = Settings(config_directory)

    def _headers(self) -> dict[str, str]:
        return self.user.headers

    def _greet(self, connection: Connection) -> None:
        from wharfie.cli.strangers import warn_of_another

        warn_of_another(self.api.address, connection)

    def _start_daemon(self) -> None:
        from wharfie.client.autostart import ensure

        started = ensure(self.api.address)
        if started is not None:
            warn(f"wharfie: started the daemon (pid {started.pid}), its log is {started.log}")

    @property
    def settings(self) -> dict[str, Any]:
        """The user's ``config.json``; a file that cannot be read is told of once."""
        values = self.user.values
        if self.user.problem:
            warn(f"WARNING: {self.user.problem}")
            self.user.problem = ""
        return values

    def detach_keys(self, options: dict[str, Any]) -> str:
        """The keys that detach: the option's, else the settings', else empty (Docker's ctrl-p,ctrl-q)."""
        return str(options.get("detach-keys") or self.settings.get("detachKeys") or "")


def take_platform(options: dict[str, Any]) -> None:
    """The environment's platform, where the options name none."""
    platform = variable("DOCKER_DEFAULT_PLATFORM")
    if platform:
        options.setdefault("platform", platform)


def take_environment(options: dict[str, Any], command: str, image: str = "") -> None:
    """What the environment says about the image of a command, where its options do not; raises NotTrusted."""
    take_platform(options)
    if "disable-content-trust" in options or variable("DOCKER_CONTENT_TRUST"):
        from wharfie.cli.trust import check

        check(options, command, image)


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
