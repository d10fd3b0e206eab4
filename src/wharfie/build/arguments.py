"""Arguments of instructions: words, JSON arrays, name and value, commands, durations."""

from __future__ import annotations

import json

from wharfie.build.errors import DockerfileError
from wharfie.support.units import parse_duration

_LEAST = 1_000_000


def words(rest: str, escape: str) -> list[str]:
    """Split at blanks outside of quotes; quotes and escapes stay, to be processed with the variables."""
    found: list[str] = []
    current: list[str] = []
    quote = ""
    at = 0
    while at < len(rest):
        char = rest[at]
        if char == escape and quote != "'" and at + 1 < len(rest):
            current.append(rest[at : at + 2])
            at += 2
            continue
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char.isspace():
            if current:
                found.append("".join(current))
                current = []
            at += 1
            continue
        current.append(char)
        at += 1
    if current:
        found.append("".join(current))
    return found


def json_array(rest: str) -> list[str] | None:
    """The strings of a JSON array; None for what is none, which is then read otherwise."""
    text = rest.strip()
    if not text.startswith("["):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, list):
        return None
    if not all(isinstance(item, str) for item in found):
        raise DockerfileError("when using JSON array syntax, arrays must be comprised of strings only")
    return found


def command(rest: str) -> tuple[list[str], bool]:
    """The words of a command, and whether it is one line for a shell."""
    found = json_array(rest)
    if found is not None:
        return found, False
    text = rest.strip()
    return ([text], True) if text else ([], True)


def pairs(rest: str, name: str, escape: str) -> tuple[list[tuple[str, str]], bool]:
    """``name=value …``, or the old ``name value``; and whether it was the old form."""
    found = words(rest, escape)
    if not found:
        raise DockerfileError(f"{name} requires at least one argument")
    if "=" not in found[0]:
        parts = rest.strip().split(None, 1)
        if len(parts) < 2:
            raise DockerfileError(f"{name} must have two arguments")
        return [(parts[0], parts[1])], True
    result = []
    for word in found:
        key, equals, value = word.partition("=")
        if not equals:
            raise DockerfileError(
                f'Syntax error - can\'t find = in "{word}". Must be of the form: name=value'
            )
        if not key:
            raise DockerfileError(f"{name} names can not be blank")
        result.append((key, value))
    return result, False


def duration(text: str, name: str) -> int:
    """Nanoseconds; 0 for none."""
    if not text:
        return 0
    try:
        found = parse_duration(text)
    except ValueError as error:
        raise DockerfileError(str(error)) from None
    if found and found < _LEAST:
        raise DockerfileError(f'Interval "{name}" cannot be less than 1ms')
    return found


def retries(text: str) -> int:
    """A number of tries."""
    if not text:
        return 0
    try:
        found = int(text)
    except ValueError:
        raise DockerfileError(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None
    if found < 0:
        raise DockerfileError(f"--retries cannot be negative ({found})")
    if found >= 1 << 31:
        raise DockerfileError(f'strconv.ParseInt: parsing "{text}": value out of range')
    return found
