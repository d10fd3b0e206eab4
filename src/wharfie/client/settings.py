"""The user's ``config.json``, which both command lines read."""

from __future__ import annotations

from wharfie.support import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


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
