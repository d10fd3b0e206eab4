"""``.dockerignore``: patterns that leave files out of a build's context, by Docker's rules.

One pattern a line; ``#`` begins a comment; ``!`` takes back; the last one that matches counts. Patterns are
those of Go's ``filepath.Match`` with ``**`` for any number of directories; a pattern that matches a directory
matches all that is below it.

Whatever is written there, a path is soon matched: what a star takes is not looked at again once what stands
behind it was found (an atomic group), and where that would be wrong places are counted instead of tried.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator


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
        self._rules: list[tuple[bool, Rule, str]] = []
        for pattern in patterns:
            negated = pattern.startswith("!")
            text = pattern[1:] if negated else pattern
            if not text:
                if negated:
                    raise BadPattern('illegal exclusion pattern: "!"')
                continue
            self._rules.append((negated, compiled(text), text))
        self.has_negations = any(negated for negated, _, _ in self._rules)

    def matches(self, path: str) -> bool:
        """Whether a path (relative, with ``/``) is left out, by itself or with a directory above it."""
        parts = path.split("/")
        above = ["/".join(parts[: depth + 1]) for depth in range(len(parts))]
        left_out = False
        for negated, rule, _ in self._rules:
            if negated == left_out and any(map(rule, above)):
                left_out = not negated
        return left_out

    def may_have_kept_below(self, path: str) -> bool:
        """Whether something below a directory that is left out could be taken back by a ``!``."""
        if not self.has_negations:
            return False
        for negated, rule, text in self._rules:
            if negated and (_wild(text) or text.startswith(path + "/") or rule(path)):
                return True
        return False


def _wild(pattern: str) -> bool:
    return any(char in pattern for char in "*?[\\")


Rule = Callable[[str], object]
"""Whether a whole path matches."""
_STAR, _DIRECTORIES, _REST = "[^/]*", "(?:.*/)?", ".*"


def compiled(pattern: str) -> Rule:
    """A pattern, to be asked about paths; raises BadPattern."""
    parts = list(_parts(pattern))
    for at, part in enumerate(parts):
        if part == _DIRECTORIES and at and parts[at - 1] not in ("/", _DIRECTORIES):
            return lambda path: _counted(parts, path)
    return re.compile(f"(?s:{_atomic(parts)})\\Z").match


def _parts(pattern: str) -> Iterator[str]:
    """Regular expressions of one character, and the three that stand for any number."""
    at = 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*":
            if pattern[at : at + 1] == "*":
                at += 1
                if pattern[at : at + 1] == "/":
                    at += 1
                yield _REST if at >= len(pattern) else _DIRECTORIES
            else:
                yield _STAR
        elif char == "?":
            yield "[^/]"
        elif char == "[":
            inside, at = _bracket(pattern, at)
            yield inside
        elif char == "\\":
            if at >= len(pattern):
                raise BadPattern(f"syntax error in pattern: {pattern}")
            yield re.escape(pattern[at])
            at += 1
        else:
            yield re.escape(char)


def _atomic(parts: list[str]) -> str:
    """What stands between two ``**/`` is at the first place where it can be, a star's follower likewise."""
    *before, last = _split(parts, _DIRECTORIES)
    found = [_followed(segment, whole=False) for segment in before]
    found.append(_followed(last, whole=True))
    return found[0] + "".join(
        f"(?>(?:[^/]*/)*?{one})" if at < len(found) - 1 else f"(?:[^/]*/)*?{one}"
        for at, one in enumerate(found[1:], 1)
    )


def _followed(parts: list[str], *, whole: bool) -> str:
    """``whole``: the end of the path comes next, which is at one place only."""
    first, *groups = _split(parts, _STAR)
    tails = ["".join(group) for group in groups]
    if whole and tails and _REST not in groups[-1]:
        return "".join(first) + "".join(f"(?>[^/]*?{one})" for one in tails[:-1]) + _STAR + tails[-1]
    return "".join(first) + "".join(f"(?>[^/]*?{one})" for one in tails)


def _split(parts: list[str], at: str) -> list[list[str]]:
    found: list[list[str]] = [[]]
    for part in parts:
        if part == at:
            found.append([])
        else:
            found[-1].append(part)
    return found


def _counted(parts: list[str], path: str) -> bool:
    """The same without an expression: all places that can be reached, part by part."""
    places = {0}
    slashes = [at + 1 for at, char in enumerate(path) if char == "/"]
    for part in parts:
        if part == _REST:
            return bool(places)
        if part == _DIRECTORIES:
            least = min(places, default=len(path) + 1)
            places |= {at for at in slashes if at > least}
        elif part == _STAR:
            reached: set[int] = set()
            for at in sorted(places):
                while at not in reached:
                    reached.add(at)
                    at += at < len(path) and path[at] != "/"
            places = reached
        else:
            rule = re.compile(part, re.DOTALL)
            places = {at + 1 for at in places if rule.match(path, at)}
    return len(path) in places


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
