"""``.dockerignore``: patterns that leave files out of a build's context, by Docker's rules.

One pattern a line; ``#`` begins a comment; ``!`` takes back; the last one that matches counts. Patterns are
those of Go's ``filepath.Match`` with ``**`` for any number of directories; a pattern that matches a directory
matches all that is below it.
"""

from __future__ import annotations

import posixpath
import re


class BadPattern(ValueError):
    """A pattern that cannot be."""


def read_patterns(text: str) -> list[str]:
    """The patterns of a file."""
    found = []
    for line in text.removeprefix("\ufeff").splitlines():
        if line.startswith("#"):
            continue
        pattern = line.strip()
        if not pattern:
            continue
        negated = pattern.startswith("!")
        if negated:
            pattern = pattern[1:].strip()
        if pattern:
            pattern = posixpath.normpath(pattern)
            if len(pattern) > 1 and pattern[0] == "/":
                pattern = pattern.lstrip("/") or "/"
        found.append(("!" if negated else "") + pattern)
    return found


class Matcher:
    """Patterns, compiled."""

    def __init__(self, patterns: list[str]) -> None:
        self._rules: list[tuple[bool, re.Pattern[str], str]] = []
        for pattern in patterns:
            negated = pattern.startswith("!")
            text = pattern[1:] if negated else pattern
            if not text:
                if negated:
                    raise BadPattern('illegal exclusion pattern: "!"')
                continue
            self._rules.append((negated, re.compile(translate(text)), text))
        self.has_negations = any(negated for negated, _, _ in self._rules)

    def matches(self, path: str) -> bool:
        """Whether a path (relative, with ``/``) is left out, by itself or with a directory above it."""
        parts = path.split("/")
        above = ["/".join(parts[: depth + 1]) for depth in range(len(parts))]
        left_out = False
        for negated, rule, _ in self._rules:
            if negated == left_out and any(rule.match(name) for name in above):
                left_out = not negated
        return left_out

    def may_have_kept_below(self, path: str) -> bool:
        """Whether something below a directory that is left out could be taken back by a ``!``."""
        if not self.has_negations:
            return False
        for negated, rule, text in self._rules:
            if negated and (_wild(text) or text.startswith(path + "/") or rule.match(path)):
                return True
        return False


def _wild(pattern: str) -> bool:
    return any(char in pattern for char in "*?[\\")


def translate(pattern: str) -> str:
    """A pattern as a regular expression for a whole path; raises BadPattern."""
    at = 0
    parts = ["(?s:"]
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*":
            if pattern[at : at + 1] == "*":
                at += 1
                if pattern[at : at + 1] == "/":
                    at += 1
                parts.append(".*" if at >= len(pattern) else "(?:.*/)?")
            else:
                parts.append("[^/]*")
        elif char == "?":
            parts.append("[^/]")
        elif char == "[":
            inside, at = _bracket(pattern, at)
            parts.append(inside)
        elif char == "\\":
            if at >= len(pattern):
                raise BadPattern(f"syntax error in pattern: {pattern}")
            parts.append(re.escape(pattern[at]))
            at += 1
        else:
            parts.append(re.escape(char))
    parts.append(r")\Z")
    return "".join(parts)


def _bracket(pattern: str, at: int) -> tuple[str, int]:
    """A character class from behind its ``[``."""
    negated = pattern[at : at + 1] in ("^", "!")
    at += negated
    parts: list[str] = []
    while True:
        if at >= len(pattern):
            raise BadPattern(f"syntax error in pattern: {pattern}")
        if pattern[at] == "]" and parts:
            break
        low, at = _member(pattern, at)
        high = low
        if pattern[at : at + 1] == "-" and pattern[at + 1 : at + 2] not in ("", "]"):
            high, at = _member(pattern, at + 1)
        if high < low:
            raise BadPattern(f"syntax error in pattern: {pattern}")
        parts.append(f"{re.escape(low)}-{re.escape(high)}")
    return ("(?![/])[^" if negated else "[") + "".join(parts) + "]", at + 1


def _member(pattern: str, at: int) -> tuple[str, int]:
    if pattern[at] == "\\":
        at += 1
    if at >= len(pattern):
        raise BadPattern(f"syntax error in pattern: {pattern}")
    return pattern[at], at + 1
