"""Parses a Go template into nodes. Syntax: https://pkg.go.dev/text/template

A node is a tuple that begins with its kind::

    ("text", str)                      ("action", pipe)
    ("if", pipe, then, otherwise)      ("with", pipe, then, otherwise)
    ("range", names, pipe, body, otherwise)

A pipe is ``(variable or "", [command, …])``, a command a list of operands, and an operand one of ``("value",
x)``, ``("field", base, [names])``, ``("variable", name)``, ``("call", name)``, ``("pipe", pipe)``.
"""

from __future__ import annotations

import re
from typing import Any

from wharfie.cli.errors import CommandError

Node = tuple[Any, ...]

_ACTION = re.compile(r"\{\{(-(?=\s))?\s*(.*?)\s*((?<=\s)-)?\}\}", re.S)
_TOKEN = re.compile(
    r"""\s+|(?P<string>"(?:[^"\\\n]|\\.)*"|`[^`]*`)|(?P<char>'(?:[^'\\]|\\.)')|(?P<number>[-+]?\d[\w.]*)"""
    r"""|(?P<field>(?:\.[^\W\d]\w*)+)|(?P<variable>\$\w*)|(?P<name>[^\W\d]\w*)|(?P<mark>:=|=|[().|,])"""
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "'": "'", "0": "\0"}


class TemplateError(CommandError):
    """The template cannot be read."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"template parsing error: template: :1: {problem}", 64)


def parse(text: str) -> list[Node]:
    """The nodes of a template; raises TemplateError."""
    parser = _Parser(_pieces(text))
    nodes, end = parser.block()
    if end:
        raise TemplateError(f"unexpected {{{{{end}}}}}")
    return nodes


def _pieces(text: str) -> list[tuple[bool, str]]:
    """Text and actions by turns; blanks that ``{{-`` and ``-}}`` take away are gone."""
    pieces: list[tuple[bool, str]] = []
    at, strip = 0, False
    while (start := text.find("{{", at)) >= 0:
        match = _ACTION.match(text, start)
        if match is None:
            raise TemplateError("unclosed action")
        plain = text[at:start]
        plain = plain.lstrip() if strip else plain
        pieces.append((False, plain.rstrip() if match[1] else plain))
        pieces.append((True, match[2]))
        strip, at = bool(match[3]), match.end()
    pieces.append((False, text[at:].lstrip() if strip else text[at:]))
    return pieces


class _Parser:
    def __init__(self, pieces: list[tuple[bool, str]]) -> None:
        self.pieces = pieces
        self.at = 0

    def block(self, *, inside: bool = False) -> tuple[list[Node], str]:
        """Nodes up to an ``end`` or ``else``, and that word with what follows it."""
        nodes: list[Node] = []
        while self.at < len(self.pieces):
            is_action, text = self.pieces[self.at]
            self.at += 1
            if not is_action:
                if text:
                    nodes.append(("text", text))
                continue
            word, _, rest = text.partition(" ")
            if text.startswith("/*") or not text:
                if not text:
                    raise TemplateError("missing value for command")
            elif word in ("end", "else"):
                return nodes, text
            elif word in ("if", "with", "range"):
                nodes.append(self.control(word, rest))
            elif word in ("break", "continue"):
                nodes.append((word,))
            else:
                nodes.append(("action", pipeline(text)))
        if inside:
            raise TemplateError("unexpected EOF")
        return nodes, ""

    def control(self, word: str, rest: str) -> Node:
        names: list[str] = []
        if word == "range":
            match = re.match(r"\s*(\$\w+)\s*(?:,\s*(\$\w+)\s*)?:=\s*(.*)", rest, re.S)
            if match is not None:
                names, rest = [name for name in (match[1], match[2]) if name], match[3]
        pipe = pipeline(rest)
        body, end = self.block(inside=True)
        otherwise: list[Node] = []
        if end.startswith("else"):
            chained = end[4:].strip()
            if chained:
                kind, _, condition = chained.partition(" ")
                otherwise = [self.control(kind, condition)]
            else:
                otherwise, end = self.block(inside=True)
                if end != "end":
                    raise TemplateError(f"expected end; found {{{{{end}}}}}")
        return ("range", names, pipe, body, otherwise) if word == "range" else (word, pipe, body, otherwise)


def pipeline(text: str) -> Node:
    """The pipe in an action's text; raises TemplateError."""
    tokens = _tokens(text)
    pipe, at = _pipe(tokens, 0)
    if at < len(tokens):
        raise TemplateError(f'unexpected "{tokens[at][1]}" in operand')
    return pipe


def _tokens(text: str) -> list[tuple[str, str, bool]]:
    """Kind, text, and whether a blank precedes."""
    tokens = []
    at, blank = 0, True
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            if text[at] in "\"`'":
                raise TemplateError("unterminated quoted string")
            raise TemplateError(f'unexpected "{text[at]}" in command')
        at = match.end()
        if match.lastgroup is not None:
            tokens.append((match.lastgroup, match[0], blank))
        blank = match.lastgroup is None
    return tokens


def _pipe(tokens: list[tuple[str, str, bool]], at: int) -> tuple[Node, int]:
    variable = ""
    if len(tokens) > at + 1 and tokens[at][0] == "variable" and tokens[at + 1][1] in (":=", "="):
        variable, at = tokens[at][1], at + 2
    commands: list[list[Node]] = [[]]
    while at < len(tokens) and tokens[at][1] != ")":
        if tokens[at][1] == "|" and tokens[at][0] == "mark":
            if not commands[-1]:
                raise TemplateError("missing value for command")
            commands.append([])
            at += 1
            continue
        operand, at = _operand(tokens, at)
        commands[-1].append(operand)
    if not commands[-1]:
        raise TemplateError("missing value for command")
    return (variable, commands), at


def _operand(tokens: list[tuple[str, str, bool]], at: int) -> tuple[Node, int]:
    kind, text, _ = tokens[at]
    at += 1
    operand: Node
    if kind == "mark" and text == "(":
        pipe, at = _pipe(tokens, at)
        if at >= len(tokens):
            raise TemplateError("unclosed left paren")
        operand, at = ("pipe", pipe), at + 1
    elif kind == "mark" and text == ".":
        operand = ("field", None, [])
    elif kind == "field":
        return ("field", None, text[1:].split(".")), at
    elif kind == "variable":
        operand = ("variable", text)
    elif kind in ("string", "char"):
        operand = ("value", _unquote(text))
    elif kind == "number":
        operand = ("value", _number(text))
    elif kind == "name":
        constants = {"true": True, "false": False, "nil": None}
        operand = ("value", constants[text]) if text in constants else ("call", text)
    else:
        raise TemplateError(f'unexpected "{text}" in operand')
    if at < len(tokens) and tokens[at][0] == "field" and not tokens[at][2]:
        return ("field", operand, tokens[at][1][1:].split(".")), at + 1
    return operand, at


def _unquote(text: str) -> str:
    if text[0] == "`":
        return text[1:-1]
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[0]), text[1:-1])


def _number(text: str) -> int | float:
    try:
        return int(text, 0)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            raise TemplateError(f'bad number syntax: "{text}"') from None
