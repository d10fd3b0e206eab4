"""The lines of a Dockerfile become instructions: directives, comments, continuations, heredocs.

::

    # syntax=… escape=… check=…     at the very top only
    # comment                       gone, inside of continued instructions too
    RUN one \\
        two                         one instruction
    COPY <<EOF /file                content up to the line EOF belongs to the instruction
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from wharfie.build.errors import DockerfileError
from wharfie.build.words import Lexer

_DIRECTIVE = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$")
_HEREDOC = re.compile(r"^(\d*)<<(-?)([^<]*)$")
_KNOWN = ("syntax", "escape", "check")
_WITH_HEREDOC = ("ADD", "COPY", "RUN")
LIMIT = 1 << 20
"""Bytes of a whole Dockerfile."""


@dataclass(frozen=True, slots=True)
class Heredoc:
    """One inline document."""

    name: str
    content: str
    expand: bool
    """The delimiter was not quoted: variables count."""
    descriptor: int = 0
    chomp: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One instruction as it was written."""

    word: str
    """In capitals."""
    rest: str
    first: int
    last: int
    heredocs: list[Heredoc] = field(default_factory=list)
    spelled: str = ""
    """The instruction's word as it was written."""

    @property
    def text(self) -> str:
        """As ``Step 1/3 :`` shows it."""
        return f"{self.word} {self.rest}".rstrip()


@dataclass(frozen=True, slots=True)
class Parsed:
    """A whole file."""

    lines: list[Line]
    escape: str
    directives: dict[str, str]
    source: list[str]
    empty_continuations: list[int]
    """First lines of instructions that have an empty line in the middle."""


def parse(data: bytes, name: str = "Dockerfile") -> Parsed:
    """Read a file; raises DockerfileError."""
    if len(data) > LIMIT:
        raise DockerfileError(f"the Dockerfile ({name}) is longer than {LIMIT} bytes")
    # what is not UTF-8 stays as it is in the files that a COPY makes, and is told of as Go's JSON has it
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    if "\0" in text:
        raise DockerfileError(f"the Dockerfile ({name}) has a NUL byte in it")
    if not text.strip():
        raise DockerfileError(f"the Dockerfile ({name}) cannot be empty")
    source = [line.removesuffix("\r") for line in text.split("\n")]
    directives, escape = _directives(source)
    reader = _Reader(source, escape)
    lines = list(reader.lines())
    if not lines:
        raise DockerfileError("file with no instructions")
    return Parsed(lines, escape, directives, [_readable(line) for line in source], reader.gaps)


def _directives(source: list[str]) -> tuple[dict[str, str], str]:
    found: dict[str, str] = {}
    at = 0
    for number, line in enumerate(source, 1):
        match = _DIRECTIVE.match(line.strip())
        key = match.group(1).lower() if match else ""
        if match is None or key not in _KNOWN:
            break
        if key in found:
            raise DockerfileError(f"only one {key} parser directive can be used", number)
        found[key] = match.group(2)
        at = number if key == "escape" else at
    escape = found.get("escape", "\\")
    if escape not in ("\\", "`"):
        raise DockerfileError(f"invalid ESCAPE '{escape}' does not match ` or \\", at)
    return found, escape


class _Reader:
    """Goes through the lines once."""

    def __init__(self, source: list[str], escape: str) -> None:
        mark = re.escape(escape)
        self._continued = re.compile(rf"([^{mark}])?{mark}[ \t]*$")
        self._double = re.compile(rf"{mark}{mark}[ \t]*$")
        self._escape = escape
        self._source = source
        self._at = 0
        self.gaps: list[int] = []

    def lines(self) -> Iterator[Line]:
        while self._at < len(self._source):
            first = self._at + 1
            line = self._source[self._at].lstrip()
            self._at += 1
            if not line or line.startswith("#"):
                continue
            text = self._whole(line, first)
            if text.strip():
                yield self._instruction(text, first)

    def _whole(self, line: str, first: int) -> str:
        """An instruction with its continuations."""
        text, goes_on = self._cut(line)
        gap = False
        while goes_on and self._at < len(self._source):
            line = self._source[self._at]
            self._at += 1
            if line.lstrip().startswith("#"):
                continue
            if not line.strip():
                gap = True
                continue
            more, goes_on = self._cut(line)
            text += more
        if gap:
            self.gaps.append(first)
        return text

    def _cut(self, line: str) -> tuple[str, bool]:
        if self._double.search(line):
            return line, False
        found = self._continued.search(line)
        if found is None:
            return line, False
        return line[: found.start()] + (found.group(1) or ""), True

    def _instruction(self, text: str, first: int) -> Line:
        word, rest = _split(_readable(text))
        name = word.upper()
        heredocs: list[Heredoc] = []
        inner = name
        if name == "ONBUILD":
            inner = _split(rest)[0].upper()
        if inner in _WITH_HEREDOC and "<<" in rest:
            heredocs = [self._document(*found) for found in self._heredocs(rest, first)]
        if name == "RUN" or name != inner:
            heredocs = [replace(one, content=_readable(one.content)) for one in heredocs]
        return Line(name, rest, first, self._at, heredocs, word)

    def _heredocs(self, rest: str, first: int) -> Iterator[tuple[str, bool, bool, int]]:
        lexer = Lexer(self._escape, raw_quotes=True, raw_escapes=True, keep_unset=True)
        try:
            words = lexer.words(rest, {})
        except DockerfileError:
            return  # quotes that do not match are for the instruction to tell about, or for its shell
        for word in words:
            found = parse_heredoc(word, self._escape)
            if found is not None:
                yield found

    def _document(self, name: str, chomp: bool, expand: bool, descriptor: int) -> Heredoc:
        start = self._at
        content: list[str] = []
        while self._at < len(self._source):
            line = self._source[self._at]
            self._at += 1
            if chomp:
                line = line.lstrip("\t")
            if _readable(line) == name:
                body = "".join(part + "\n" for part in content)
                return Heredoc(name, body, expand, descriptor, chomp)
            content.append(line)
        raise DockerfileError("unterminated heredoc", start)


def _readable(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def parse_heredoc(word: str, escape: str = "\\") -> tuple[str, bool, bool, int] | None:
    """Name, ``-``, whether variables count, descriptor; None for a word that begins no document."""
    match = _HEREDOC.match(word)
    if match is None or not match.group(3):
        return None
    raw = match.group(3)
    try:
        names = Lexer(escape).words(raw, {})
    except DockerfileError:
        return None
    if len(names) != 1 or not names[0]:
        return None
    return names[0], bool(match.group(2)), raw == names[0], int(match.group(1) or 0)


def _split(text: str) -> tuple[str, str]:
    parts = text.strip().split(None, 1)
    return parts[0] if parts else "", parts[1] if len(parts) > 1 else ""
