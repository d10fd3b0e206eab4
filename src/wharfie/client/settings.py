"""The user's ``config.json``, which both command lines read."""

from __future__ import annotations

from wharfie.client.errors import BadSettings
from wharfie.support import json
from wharfie.support.environment import variable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PROXIES = (
    ("httpProxy", "HTTP_PROXY"),
    ("httpsProxy", "HTTPS_PROXY"),
    ("noProxy", "NO_PROXY"),
    ("ftpProxy", "FTP_PROXY"),
    ("allProxy", "ALL_PROXY"),
)
_UNFIT = frozenset("\r\n\0")
CUSTOM_HEADERS = "DOCKER_CUSTOM_HEADERS"


class Settings:
    """What is in one directory of settings."""

    __slots__ = ("_values", "directory", "problem")

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.problem = ""
        """Why the file could not be read, once :attr:`values` were asked for."""
        self._values: dict[str, Any] | None = None

    @property
    def values(self) -> dict[str, Any]:
        """The document; empty when there is none, or when it cannot be read."""
        if self._values is None:
            self._values = {}
            path = f"{self.directory}/config.json"
            try:
                with open(path, "rb", 0) as file:
                    data = file.read()
            except OSError:
                return self._values
            try:
                value = json.loads(data)
                self._values = value if isinstance(value, dict) else {}
            except ValueError as error:
                self.problem = f"Error loading config file: {path}: {error}"
        return self._values

    @property
    def headers(self) -> dict[str, str]:
        """``HttpHeaders``, or DOCKER_CUSTOM_HEADERS: what goes with every request, but for who is asking.

        Raises BadSettings.
        """
        named = variable(CUSTOM_HEADERS)
        given = self.values.get("HttpHeaders") if named is None else _custom(named)
        if not isinstance(given, dict):
            return {}
        for name, value in given.items():
            if not isinstance(value, str) or not _UNFIT.isdisjoint(name + value) or ":" in name:
                where = "HttpHeaders" if named is None else CUSTOM_HEADERS
                raise BadSettings(f"{where}: {name!r} with {value!r} is no header")
        return {name: value for name, value in given.items() if name.lower() != "user-agent"}

    def proxies(self, host: str) -> dict[str, str]:
        """Variables for what runs at a daemon: of its own ``proxies``, or of those by default."""
        every = self.values.get("proxies")
        found = (every.get(host) or every.get("default")) if isinstance(every, dict) else None
        variables: dict[str, str] = {}
        for key, name in _PROXIES:
            value = found.get(key) if isinstance(found, dict) else None
            if isinstance(value, str) and value:
                variables |= {name: value, name.lower(): value}
        return variables

    def with_proxies(self, host: str, given: list[str]) -> list[str]:
        """``NAME=value`` of an environment, with the variables that it does not have."""
        names = {one.partition("=")[0] for one in given}
        found = self.proxies(host)
        return [*given, *(f"{name}={value}" for name, value in found.items() if name not in names)]


def _custom(text: str) -> dict[str, str]:
    from wharfie.support.csvline import split

    problem = f"failed to parse custom headers from {CUSTOM_HEADERS} environment variable"
    try:
        fields = split(text) if text else []
    except ValueError as error:
        raise BadSettings(f"{problem}: {error}") from None
    found = {}
    for field in fields:
        name, equals, value = field.partition("=")
        if not equals or not name.strip():
            raise BadSettings(f"{problem}: value must be formatted as comma-separated key=value pairs")
        found[name.strip()] = value
    return found
