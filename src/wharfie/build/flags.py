"""The flags of an instruction: ``--name=value`` before its arguments, and lists ``a=b,c`` inside a value."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from wharfie.build.errors import DockerfileError
from wharfie.support import csvline

_TRUE, _FALSE = (
    frozenset(("", "true", "1", "t", "T", "TRUE", "True")),
    frozenset(("false", "0", "f", "F", "FALSE", "False")),
)


@dataclass(frozen=True, slots=True)
class Allowed:
    """Which flags an instruction has; those in ``lists`` may come several times."""

    texts: tuple[str, ...] = ()
    switches: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Flags:
    """The flags that were given."""

    texts: dict[str, str]
    switches: dict[str, bool]
    lists: dict[str, list[str]]

    def text(self, name: str) -> str:
        """Its value, empty when it was not given."""
        return self.texts.get(name, "")

    def switch(self, name: str) -> bool:
        """Whether it is on."""
        return self.switches.get(name, False)


def extract(rest: str, escape: str) -> tuple[list[str], str]:
    """The words that begin with ``--``, quotes and escapes taken off, and what follows them."""
    found: list[str] = []
    at = 0
    while True:
        while at < len(rest) and rest[at].isspace():
            at += 1
        if not rest.startswith("--", at):
            return found, rest[at:]
        word, end = _flag(rest, at, escape)
        if word == "--":
            return found, rest[end:].lstrip()
        found.append(word)
        at = end


def _flag(text: str, at: int, escape: str) -> tuple[str, int]:
    quote = ""
    word = []
    while at < len(text):
        char = text[at]
        if char == escape and at + 1 < len(text):
            word.append(text[at + 1])
            at += 2
            continue
        if quote:
            if char == quote:
                quote = ""
            else:
                word.append(char)
        elif char in "\"'":
            quote = char
        elif char.isspace():
            break
        else:
            word.append(char)
        at += 1
    return "".join(word), at


def read(words: list[str], allowed: Allowed) -> Flags:
    """Sort flags by what they are; raises DockerfileError."""
    flags = Flags({}, {}, {})
    for word in words:
        name, equals, value = word[2:].partition("=")
        if name in allowed.lists:
            if not equals:
                raise DockerfileError(f"missing a value on flag: {name}")
            flags.lists.setdefault(name, []).append(value)
        elif name in flags.texts or name in flags.switches:
            raise DockerfileError(f"duplicate flag specified: {name}")
        elif name in allowed.texts:
            if not equals:
                raise DockerfileError(f"missing a value on flag: {name}")
            flags.texts[name] = value
        elif name in allowed.switches:
            if value not in _TRUE | _FALSE:
                raise DockerfileError(f"expecting boolean value for flag {name}, not: {value}")
            flags.switches[name] = value in _TRUE
        else:
            known = [*allowed.texts, *allowed.switches, *allowed.lists]
            raise DockerfileError(f"unknown flag: --{name}" + suggestion(name, known))
    return flags


def suggestion(word: str, known: list[str]) -> str:
    """`` (did you mean x?)`` where one is near enough."""
    spelled = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), spelled, 1, 0.65)
    return f" (did you mean {spelled[near[0]]}?)" if near else ""


def fields(value: str, what: str) -> list[tuple[str, str, bool]]:
    """``key=value,key`` of a mount: name in small letters, value, and whether there was a ``=``."""
    try:
        parts = csvline.split(value) if value else []
    except ValueError as error:
        raise DockerfileError(f"failed to parse csv {what}: {error}") from None
    found = []
    for part in parts:
        key, equals, text = part.partition("=")
        found.append((key.strip().lower(), text, bool(equals)))
    return found


def boolean(text: str, key: str) -> bool:
    """A switch inside a list."""
    if text not in _TRUE | _FALSE:
        raise DockerfileError(f"invalid value for {key}: {text}")
    return text in _TRUE
