"""Shell patterns of a variable's modifiers (``*``, ``?`` and the escape ``\\``), whatever somebody writes.

A regular expression with many stars takes for ever on the right text. Here a set of places in a text is a
number with a bit for each place, and each part of a pattern moves all places at once: the time is that of
pattern times text.
"""

from __future__ import annotations

from wharfie.build.errors import DockerfileError

_WORK = 1 << 24
_STAR, _ANY = "*", "?"


class Glob:
    """One pattern, for one text."""

    def __init__(self, pattern: str, text: str) -> None:
        """Raises DockerfileError."""
        if len(pattern) * len(text) > _WORK:
            raise DockerfileError("a pattern or the value that it is for is too long")
        self._parts = _parsed(pattern)
        self._text = text
        self._all = (1 << (len(text) + 1)) - 1
        wanted = {char for char, plain in self._parts if plain}
        self._where = {char: _places(text, char) for char in wanted}

    def without_prefix(self, *, greedy: bool) -> str:
        """What is left without the longest (``greedy``) or shortest beginning that matches."""
        ends = self._ends(1)
        return self._text[_highest(ends) if greedy else _lowest(ends) :] if ends else self._text

    def without_suffix(self, *, greedy: bool) -> str:
        """The same with the longest or shortest end."""
        begins = self._begins(1 << len(self._text))
        return self._text[: _lowest(begins) if greedy else _highest(begins)] if begins else self._text

    def replaced(self, new: str, *, every: bool, limit: int) -> str:
        """The longest match at the leftmost place gives way, or ``every`` one behind the other.

        Raises DockerfileError for more than ``limit`` characters.
        """
        possible = f"{self._begins(self._all):b}"[::-1]
        found: list[str] = []
        size = done = 0
        at = possible.find("1")
        while at >= 0:
            end = _highest(self._ends(1 << at)) if (_STAR, False) in self._parts else at + len(self._parts)
            if end > at or not found or at > done:  # nothing right behind a match is none
                found += [self._text[done:at], new]
                size += len(new)
                done = end
            if size > limit:
                raise DockerfileError(f"a value is longer than {limit} characters")
            at = possible.find("1", max(end, at + 1)) if every else -1
        return "".join([*found, self._text[done:]])

    def _ends(self, places: int) -> int:
        """Where matches end that begin at ``places``."""
        for char, plain in self._parts:
            if plain:
                places = (places & self._where[char]) << 1
            elif char == _ANY:
                places = (places << 1) & self._all
            elif places:
                places = self._all & -(places & -places)
        return places

    def _begins(self, places: int) -> int:
        """Where matches begin that end at ``places``."""
        for char, plain in reversed(self._parts):
            if plain:
                places = (places >> 1) & self._where[char]
            elif char == _ANY:
                places >>= 1
            else:
                places = (1 << places.bit_length()) - 1
        return places


def _parsed(pattern: str) -> list[tuple[str, bool]]:
    """Characters, each with whether it is plain and stands for itself."""
    parts: list[tuple[str, bool]] = []
    escaped = False
    for char in pattern:
        if char == "\\" and not escaped:
            escaped = True
            continue
        parts.append((char, escaped or char not in (_STAR, _ANY)))
        escaped = False
    if escaped:
        raise DockerfileError("syntax error: a pattern ends in an escape")
    return parts


def _places(text: str, char: str) -> int:
    return int("0" + "".join("1" if one == char else "0" for one in reversed(text)), 2)


def _lowest(places: int) -> int:
    return (places & -places).bit_length() - 1


def _highest(places: int) -> int:
    return places.bit_length() - 1
