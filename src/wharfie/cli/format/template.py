"""Runs a Go template over JSON values; functions are those of Docker's ``--format``."""

from __future__ import annotations

import json
from typing import Any

from wharfie.cli.errors import CommandError
from wharfie.cli.format.syntax import Node, TemplateError, parse


class _Leave(Exception):
    """``break`` (True) or ``continue`` (False)."""

    def __init__(self, whole: bool) -> None:
        super().__init__()
        self.whole = whole


class ExecutionError(CommandError):
    """The template does not fit the data."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"template parsing error: template: :1: executing template: {problem}")


class Template:
    """A parsed template."""

    def __init__(self, text: str, *, lenient: bool = False) -> None:
        """``lenient``: a missing key is ``<no value>`` and no error. Raises TemplateError."""
        self._nodes = parse(text)
        self._lenient = lenient
        _check_names(self._nodes)

    def render(self, value: Any) -> str:
        """The text for one value; raises ExecutionError."""
        out: list[str] = []
        self._run(self._nodes, value, {"$": value}, out)
        return "".join(out)

    def _run(self, nodes: list[Node], dot: Any, names: dict[str, Any], out: list[str]) -> None:
        for node in nodes:
            kind = node[0]
            if kind == "text":
                out.append(node[1])
            elif kind == "action":
                value = self._pipe(node[1], dot, names)
                if not node[1][0]:
                    out.append(show(value))
            elif kind == "range":
                self._range(node, dot, names, out)
            elif kind in ("break", "continue"):
                raise _Leave(kind == "break")
            else:
                value = self._pipe(node[1], dot, names)
                if truth(value):
                    self._run(node[2], value if kind == "with" else dot, names, out)
                else:
                    self._run(node[3], dot, names, out)

    def _range(self, node: Node, dot: Any, names: dict[str, Any], out: list[str]) -> None:
        _, variables, pipe, body, otherwise = node
        value = self._pipe(pipe, dot, names)
        if isinstance(value, dict):
            items = sorted(value.items())
        elif isinstance(value, int) and not isinstance(value, bool):
            items = [(number, number) for number in range(value)]
        elif isinstance(value, list | tuple):
            items = list(enumerate(value))
        elif value is None:
            items = []
        else:
            raise ExecutionError(f"range can't iterate over {show(value)}")
        if not items:
            self._run(otherwise, dot, names, out)
        for key, item in items:
            inner = dict(names)
            if len(variables) == 1:
                inner[variables[0]] = item
            elif variables:
                inner[variables[0]], inner[variables[1]] = key, item
            try:
                self._run(body, item, inner, out)
            except _Leave as leave:
                if leave.whole:
                    return

    def _pipe(self, pipe: Node, dot: Any, names: dict[str, Any]) -> Any:
        variable, commands = pipe
        value: Any = None
        for number, command in enumerate(commands):
            value = self._command(command, dot, names, [value] if number else [])
        if variable:
            names[variable] = value
        return value

    def _command(self, command: list[Node], dot: Any, names: dict[str, Any], piped: list[Any]) -> Any:
        first, *rest = command
        arguments = [self._operand(operand, dot, names) for operand in rest] + piped
        if first[0] == "call":
            return call(first[1], arguments)
        value = self._operand(first, dot, names)
        if callable(value):
            return value(*arguments)
        if arguments:
            raise ExecutionError(f"can't give argument to non-function {show(value)}")
        return value

    def _operand(self, operand: Node, dot: Any, names: dict[str, Any]) -> Any:
        kind = operand[0]
        if kind == "value":
            return operand[1]
        if kind == "pipe":
            return self._pipe(operand[1], dot, names)
        if kind == "variable":
            if operand[1] not in names:
                raise TemplateError(f'undefined variable "{operand[1]}"')
            return names[operand[1]]
        if kind == "call":
            return call(operand[1], [])
        value = dot if operand[1] is None else self._operand(operand[1], dot, names)
        for name in operand[2]:
            value = self._field(value, name)
        return value

    def _field(self, value: Any, name: str) -> Any:
        if isinstance(value, dict):
            if name in value:
                return value[name]
            if isinstance(value, Struct) and name in value.left_out:
                return value.left_out[name]
            if self._lenient:
                return NO_VALUE
            raise ExecutionError(f'at <.{name}>: map has no entry for key "{name}"')
        if value is None or value is NO_VALUE:
            if self._lenient:
                return NO_VALUE
            raise ExecutionError(f'at <.{name}>: nil data; no entry for key "{name}"')
        raise ExecutionError(f"at <.{name}>: can't evaluate field {name} in type {_type(value)}")


class Struct(dict[str, Any]):
    """An object of the API that leaves out empty fields: a template may name those.

    No ``range`` and no ``json`` shows them.
    """

    def __init__(self, value: dict[str, Any], left_out: dict[str, Any]) -> None:
        """``left_out``: what each field is when the object does not have it."""
        super().__init__(value)
        self.left_out = left_out


class _NoValue:
    def __bool__(self) -> bool:
        return False


NO_VALUE = _NoValue()


def _type(value: Any) -> str:
    names = {str: "string", bool: "bool", int: "int", float: "float64", list: "[]interface {}"}
    return names.get(type(value), "interface {}")


def _check_names(nodes: list[Node]) -> None:
    def pipe(value: Node) -> None:
        for command in value[1]:
            for operand in command:
                if operand[0] == "call" and operand[1] not in FUNCTIONS:
                    raise TemplateError(f'function "{operand[1]}" not defined')
                if operand[0] == "pipe":
                    pipe(operand[1])

    for node in nodes:
        if node[0] == "range":
            pipe(node[2])
            _check_names(node[3] + node[4])
        elif node[0] in ("if", "with"):
            pipe(node[1])
            _check_names(node[2] + node[3])
        elif node[0] == "action":
            pipe(node[1])


def truth(value: Any) -> bool:
    """Go's idea of it: empty, zero and nil are false."""
    return bool(value)


def show(value: Any) -> str:
    """As Go's ``fmt`` prints it with ``%v``."""
    if value is None or value is NO_VALUE:
        return "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}" if value != int(value) or abs(value) >= 1e21 else str(int(value))
    if isinstance(value, dict):
        inner = " ".join(f"{key}:{_inside(item)}" for key, item in sorted(value.items()))
        return f"map[{inner}]"
    if isinstance(value, list | tuple):
        return "[" + " ".join(_inside(item) for item in value) + "]"
    return str(value)


def _inside(value: Any) -> str:
    return "<nil>" if value is None else show(value)


def to_json(value: Any) -> str:
    """Compact JSON; what can be called is no data."""
    if isinstance(value, dict):
        value = {key: item for key, item in value.items() if not callable(item)}
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, dict):
            value = value.get(str(key))
        elif isinstance(value, list | str) and isinstance(key, int):
            if not 0 <= key < len(value):
                raise ExecutionError(f"error calling index: index out of range: {key}")
            value = value[key]
        elif value is None:
            raise ExecutionError("error calling index: index of untyped nil")
        else:
            raise ExecutionError(f"error calling index: can't index item of type {_type(value)}")
    return value


def _printf(form: str, *values: Any) -> str:
    out, left = [], list(values)
    at = 0
    while at < len(form):
        if form[at] != "%":
            out.append(form[at])
            at += 1
            continue
        end = at + 1
        while end < len(form) and form[end] in "0123456789.+- #":
            end += 1
        verb, flags = form[end : end + 1], form[at + 1 : end]
        at = end + 1
        if verb == "%":
            out.append("%")
        elif not left:
            out.append(f"%!{verb}(MISSING)")
        else:
            out.append(_verb(verb, flags, left.pop(0)))
    return "".join(out)


def _verb(verb: str, flags: str, value: Any) -> str:
    if verb in "dxXo" and isinstance(value, int):
        return f"%{flags}{verb}" % value
    if verb in "feg" and isinstance(value, int | float):
        return f"%{flags}{verb}" % value
    if verb == "q":
        return f"%{flags}s" % json.dumps(show(value), ensure_ascii=False)
    if verb in "svt":
        return f"%{flags}s" % show(value)
    return f"%!{verb}({_type(value)}={show(value)})"


def _compare(name: str, left: Any, *others: Any) -> bool:
    try:
        if name == "eq":
            return any(left == other for other in others)
        other = others[0]
        results = {"ne": left != other}
        if name != "ne":
            results = {"lt": left < other, "le": left <= other, "gt": left > other, "ge": left >= other}
        return bool(results[name])
    except (TypeError, IndexError):
        raise ExecutionError(f"error calling {name}: incompatible types for comparison") from None


def _and(*values: Any) -> Any:
    return next((value for value in values if not truth(value)), values[-1])


def _or(*values: Any) -> Any:
    return next((value for value in values if truth(value)), values[-1])


FUNCTIONS: dict[str, Any] = {
    "json": to_json,
    "split": lambda text, separator: str(text).split(separator),
    "join": lambda items, separator: separator.join(show(item) for item in items or []),
    "title": lambda text: str(text).title(),
    "lower": lambda text: str(text).lower(),
    "upper": lambda text: str(text).upper(),
    "pad": lambda text, before, after: " " * before + str(text) + " " * after,
    "truncate": lambda text, length: str(text)[:length],
    "len": lambda value: len(value or ""),
    "index": _index,
    "slice": lambda value, start=0, end=None: value[start:end],
    "print": lambda *values: "".join(show(value) for value in values),
    "println": lambda *values: " ".join(show(value) for value in values) + "\n",
    "printf": _printf,
    "and": _and,
    "or": _or,
    "not": lambda value: not truth(value),
    **{
        name: (lambda *values, name=name: _compare(name, *values))
        for name in ("eq", "ne", "lt", "le", "gt", "ge")
    },
}


def call(name: str, arguments: list[Any]) -> Any:
    """Call a function of the template language; raises ExecutionError."""
    try:
        return FUNCTIONS[name](*arguments)
    except (TypeError, AttributeError, ValueError, IndexError) as error:
        raise ExecutionError(f"error calling {name}: {error}") from None
