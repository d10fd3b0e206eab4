"""Build arguments and environment: which variable has which value where.

::

    before FROM    ARG with its default or --build-arg; platform arguments without being declared
    in a stage     only what the stage declares; ARG without default takes the one before FROM
    ENV, ARG       of the same name: the later one wins; a stage goes on with what the one it is from declared
    predefined     proxies: in the environment of RUN when given, in no key of the cache and in no history
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from wharfie.build.errors import DockerfileError
from wharfie.build.instructions import Arg
from wharfie.build.words import Lexer
from wharfie.images.platform import Platform

PREDEFINED = frozenset(
    name
    for word in ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")
    for name in (word, word.upper())
)
INLINE_ARGUMENT = "BUILDKIT_INLINE_CACHE"
"""The build argument that puts the cache into the image."""
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def platform_arguments(target: Platform, build: Platform, stage: str) -> dict[str, str]:
    """Those that are there without being given."""
    found = {"TARGETSTAGE": stage or "default"}
    for prefix, one in (("TARGET", target), ("BUILD", build)):
        found[prefix + "PLATFORM"] = str(one)
        found[prefix + "OS"] = one.os
        found[prefix + "ARCH"] = one.architecture
        found[prefix + "VARIANT"] = one.variant
    return found


@dataclass(slots=True)
class Globals:
    """What holds before the first ``FROM``."""

    given: Mapping[str, str]
    """``--build-arg``."""
    platform: Mapping[str, str]
    escape: str
    declared: dict[str, str | None] = field(default_factory=dict)
    _values: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self._values = {name: self.given.get(name, value) for name, value in self.platform.items()}

    def declare(self, arg: Arg) -> None:
        """One ``ARG``; raises DockerfileError."""
        for name, default in arg.pairs:
            if name in self.given:
                value: str | None = self.given[name]
            elif default is not None:
                value = expand(default, self._values, self.escape, arg.line.first)
            else:
                value = self.platform.get(name)
            self.declared[name] = value
            if value is None:
                self._values.pop(name, None)
            else:
                self._values[name] = value

    def values(self) -> Mapping[str, str]:
        """All that ``FROM`` can use."""
        return self._values


@dataclass(slots=True)
class Scope:
    """What holds at one place of a stage."""

    globals: Globals
    env: list[str]
    """The image's, as ``name=value``."""
    declared: dict[str, str] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def declare(self, arg: Arg) -> None:
        """One ``ARG``; raises DockerfileError."""
        for name, default in arg.pairs:
            around = self.globals
            self.used.add(name)
            if name in around.given:
                self.declared[name] = around.given[name]
            elif default is not None:
                self.declared[name] = self.expand(default, arg.line.first)
            elif around.declared.get(name) is not None:
                self.declared[name] = around.declared[name] or ""
            elif name in around.platform:
                self.declared[name] = around.platform[name]

    def values(self) -> dict[str, str]:
        """All that an instruction can use."""
        return {**dict(pair(entry) for entry in self.env), **self.declared}

    def arguments(self) -> dict[str, str]:
        """Build arguments that are in the environment of ``RUN`` beside the image's own."""
        return dict(self.declared)

    def proxies(self) -> dict[str, str]:
        """Predefined arguments that were given and not declared."""
        given = self.globals.given
        return {name: given[name] for name in PREDEFINED if name in given and name not in self.declared}

    def expand(self, text: str, line: int) -> str:
        """One word; raises DockerfileError with the line."""
        return expand(text, self.values(), self.globals.escape, line)

    def split(self, text: str, line: int) -> list[str]:
        """Several words out of one text."""
        try:
            return Lexer(self.globals.escape).words(text, self.values())
        except DockerfileError as error:
            raise DockerfileError(error.message, line) from None


def pair(entry: str) -> tuple[str, str]:
    """``name=value`` in two."""
    name, _, value = entry.partition("=")
    return name, value


def expand(text: str, values: Mapping[str, str], escape: str, line: int) -> str:
    """One word with its variables; raises DockerfileError with the line."""
    try:
        return Lexer(escape).word(text, values)
    except DockerfileError as error:
        raise DockerfileError(f"failed to process {_quoted(text)}: {error.message}", line) from None


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
