"""Words and variables of a Dockerfile, by the rules of a small shell.

``$name``, ``${name}`` and the modifiers ``:-`` ``-`` ``:+`` ``+`` ``:?`` ``?`` ``#`` ``##`` ``%`` ``%%``
``/`` ``//``. Single quotes keep everything as it is; in double quotes the escape character is special before
``"``, ``$`` and itself. Nothing here knows of instructions or files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from wharfie.build.errors import DockerfileError
from wharfie.build.globs import Glob

Variables = Mapping[str, str]
LIMIT = 1 << 20
"""Characters that variables may add to one text: values made of themselves grow without end."""
_SPECIAL = frozenset("@*#?-$!0")
_NESTED = 100


class Lexer:
    """Processes words with one escape character; ``used`` and ``missing`` collect names of variables."""

    def __init__(self, escape: str = "\\", *, raw_quotes: bool = False, raw_escapes: bool = False,
                 keep_unset: bool = False) -> None:  # fmt: skip
        self.escape = escape
        self.raw_quotes = raw_quotes
        self.raw_escapes = raw_escapes
        self.keep_unset = keep_unset
        self.used: set[str] = set()
        self.missing: set[str] = set()

    def word(self, text: str, variables: Variables) -> str:
        """``text`` as one word, variables replaced and quotes removed; raises DockerfileError."""
        return _Run(self, text, variables).all()[0]

    def words(self, text: str, variables: Variables) -> list[str]:
        """``text`` split at blanks outside of quotes; what an unquoted variable holds is split too."""
        return _Run(self, text, variables).all()[1]


class _Run:
    """One pass over one text."""

    def __init__(self, lexer: Lexer, text: str, variables: Variables) -> None:
        self.lexer = lexer
        self.text = text
        self.at = 0
        self.variables = variables
        self.found: list[str] = []
        self.current: list[str] = []
        self.begun = False
        self.depth = 0
        self.added = 0

    def all(self) -> tuple[str, list[str]]:
        result = self.until("")
        self.end_word()
        return result, self.found

    # the list of words that is built up beside the single word

    def add(self, text: str) -> None:
        self.current.append(text)
        self.begun = True

    def end_word(self) -> None:
        if self.begun:
            self.found.append("".join(self.current))
        self.current, self.begun = [], False

    def add_split(self, text: str) -> None:
        """The value of an unquoted variable."""
        for index, part in enumerate(re.split(r"[ \t\n\r]+", text)):
            if index:
                self.end_word()
            if part:
                self.add(part)

    def peek(self) -> str:
        return self.text[self.at] if self.at < len(self.text) else ""

    def take(self) -> str:
        char = self.text[self.at]
        self.at += 1
        return char

    def until(self, stop: str) -> str:
        """Process up to the character ``stop`` (left standing) or the end."""
        result: list[str] = []
        while self.at < len(self.text):
            char = self.peek()
            if stop and char == stop:
                break
            if char == "'":
                result.append(self.single())
            elif char == '"':
                result.append(self.double())
            elif char == "$":
                value = self.dollar()
                result.append(value)
                self.add_split(value)
            elif char == self.lexer.escape:
                result.append(self.escaped())
            else:
                self.at += 1
                if char.isspace() and not stop:
                    self.end_word()
                else:
                    self.add(char)
                result.append(char)
        return "".join(result)

    def escaped(self) -> str:
        kept = self.take() if self.lexer.raw_escapes else ""
        if not kept:
            self.at += 1
        if self.at >= len(self.text):
            self.add(kept or self.lexer.escape)
            return kept or self.lexer.escape
        kept += self.take()
        self.add(kept)
        return kept

    def single(self) -> str:
        start = self.at
        end = self.text.find("'", self.at + 1)
        if end < 0:
            raise DockerfileError("unexpected end of statement while looking for matching single-quote")
        self.at = end + 1
        value = self.text[start : end + 1] if self.lexer.raw_quotes else self.text[start + 1 : end]
        self.add(value)
        return value

    def double(self) -> str:
        result = [self.take()] if self.lexer.raw_quotes else []
        if not self.lexer.raw_quotes:
            self.at += 1
        self.begun = True
        while True:
            if self.at >= len(self.text):
                raise DockerfileError("unexpected end of statement while looking for matching double-quote")
            char = self.peek()
            if char == '"':
                self.at += 1
                if self.lexer.raw_quotes:
                    result.append(char)
                break
            if char == "$":
                result.append(self.dollar())
                continue
            self.at += 1
            if char == self.lexer.escape and self.at < len(self.text):
                following = self.peek()
                special = following in ('"', "$") or following == self.lexer.escape
                if self.lexer.raw_escapes or not special:
                    result.append(char)
                if special or self.lexer.raw_escapes:
                    result.append(self.take())
                continue
            result.append(char)
        value = "".join(result)
        self.add(value)
        return value

    def dollar(self) -> str:
        start = self.at
        self.at += 1
        if self.peek() != "{":
            name = self.name()
            if not name:
                return "$"
            return self.plain(name, "$" + name)
        self.at += 1
        if self.at >= len(self.text):
            raise DockerfileError("syntax error: missing '}'")
        if self.peek() in "{}:":
            raise DockerfileError("syntax error: bad substitution")
        name = self.name()
        if not name:
            raise DockerfileError("syntax error: bad substitution")
        char = self.peek()
        if char == "}":
            self.at += 1
            return self.plain(name, f"${{{name}}}")
        if not char:
            raise DockerfileError("syntax error: missing '}'")
        self.at += 1
        value = self.grown(self.modified(name, char))
        if self.lexer.keep_unset and name not in self.variables:
            return self.text[start : self.at]
        return value

    def plain(self, name: str, source: str) -> str:
        value = self.look_up(name)
        if value is None:
            return source if self.lexer.keep_unset else ""
        return self.grown(value)

    def grown(self, value: str) -> str:
        """A value, which counts."""
        self.added += len(value)
        if self.added > LIMIT:
            raise DockerfileError(f"variables add more than {LIMIT} characters")
        return value

    def look_up(self, name: str) -> str | None:
        value = self.variables.get(name)
        if value is None:
            self.lexer.missing.add(name)
        else:
            self.lexer.used.add(name)
        return value

    def name(self) -> str:
        char = self.peek()
        if char.isascii() and (char.isalpha() or char == "_"):
            start = self.at
            while (char := self.peek()) and char.isascii() and (char.isalnum() or char == "_"):
                self.at += 1
            return self.text[start : self.at]
        if char and (char.isdigit() or char in _SPECIAL):
            self.at += 1
            return char
        return ""

    def modified(self, name: str, modifier: str) -> str:
        colon = modifier == ":"
        if colon:
            if not self.peek():
                raise DockerfileError("syntax error: missing ':' in substitution")
            modifier = self.take()
        if modifier in "+-?":
            return self.fallback(name, modifier, colon)
        if modifier in "#%" and not colon:
            greedy = self.peek() == modifier
            self.at += greedy
            pattern = self.argument(pattern=True)
            glob = Glob(pattern, self.look_up(name) or "")
            return (glob.without_suffix if modifier == "%" else glob.without_prefix)(greedy=greedy)
        if modifier == "/" and not colon:
            every = self.peek() == "/"
            self.at += every
            pattern = self.argument("/")
            if self.peek() == "/":
                self.at += 1
                new = self.argument()
            else:
                self.close()
                new = ""
            return Glob(pattern, self.look_up(name) or "").replaced(new, every=every, limit=LIMIT)
        raise DockerfileError(f"unsupported modifier ({':' if colon else ''}{modifier}) in substitution")

    def fallback(self, name: str, modifier: str, colon: bool) -> str:
        other = self.argument()
        value = self.variables.get(name)
        present = bool(value) if colon else value is not None
        if present:
            self.lexer.used.add(name)
        if modifier == "+":
            return other if present else ""
        if present:
            return value or ""
        if modifier == "?":
            raise DockerfileError(f"{name}: {other or 'not allowed to be unset'}")
        return other

    def argument(self, stop: str = "}", *, pattern: bool = False) -> str:
        """What stands behind a modifier; up to the closing brace, which is taken. A pattern keeps escapes."""
        outer = self.found, self.current, self.begun
        self.found, self.current = [], []
        self.depth += 1
        if self.depth > _NESTED:
            raise DockerfileError(f"substitutions are nested more than {_NESTED} deep")
        if stop == "/":
            parts = []
            while (char := self.peek()) not in ("/", "}"):
                if not char:
                    raise DockerfileError("syntax error: missing '}'")
                if char == "$":
                    parts.append(self.dollar())
                elif char == self.lexer.escape and self.at + 1 < len(self.text):
                    self.at += 1
                    following = self.take()
                    parts.append(following if following in "/}" else char + following)
                else:
                    parts.append(self.take())
            value = "".join(parts)
        else:
            kept = self.lexer.raw_escapes
            self.lexer.raw_escapes = kept or pattern
            try:
                value = self.until("}")
            finally:
                self.lexer.raw_escapes = kept
            self.close()
        self.found, self.current, self.begun = outer
        self.depth -= 1
        return value

    def close(self) -> None:
        if self.peek() != "}":
            raise DockerfileError("syntax error: missing '}'")
        self.at += 1
