"""Writes docs/compatibility.md out of what the tests hold for differences from Docker, each with its reason.

    python -m tests.peers.compatibility

A test fails when the page is behind: a difference that is no longer one, or a new one, changes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from tests.conformance.api import deviations as api
from tests.peers import answer_deviations, cases, left_out, wrong_deviations

PAGE = Path(__file__).resolve().parents[2] / "docs" / "compatibility.md"
_LONG = 150
HEAD = """# Where it differs from Docker

What Docker answers to the unmodified docker command line is recorded (`tests/peers`), and our answers are
compared with it; every operation of the API is called, and every answer is held against Docker's published
description (`tests/conformance/api`). What is known to differ is here with its reason, out of the tables
that the tests go by: a difference that is not in them fails a test. `python -m tests.peers.compatibility`
writes this page, and a test fails when it is behind. What wharfie has and Docker has not:
[api.md](api.md), and the other pages here. Where runc and crun differ from `wharfie-runtime`:
`tests/conformance/runtime/deviations.py`.
"""


def page() -> str:
    """All of it."""
    return "\n".join([HEAD, *_command_line(), *_answers(), *_api()])


def _by_reason(named: Mapping[str, str] | Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, reason in named.items() if isinstance(named, Mapping) else named:
        found.setdefault(reason, []).append(name)
    return found


def _table(first: str, second: str, rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    yield f"| {first} | {second} |"
    yield "|---|---|"
    yield from (f"| {_cell(one)} | {_cell(other)} |" for one, other in rows)
    yield ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _short(text: str) -> str:
    return text if len(text) <= _LONG else text[:_LONG] + "\u2026"


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _unescaped(pattern: str) -> str:
    """A pattern of fnmatch as a person writes it."""
    return pattern.replace("[[]", "[")


def _command_line() -> Iterator[str]:
    yield "## Commands and options that our command line does not have\n"
    rows = [(_code(names), reason) for reason, names in _by_reason(left_out.GROUPS).items()]
    options: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for command, named in left_out.OPTIONS.items():
        for reason, names in _by_reason(named).items():
            options.setdefault((reason, tuple(f"--{name}" for name in names)), []).append(command or "docker")
    rows += [
        (f"{_code(names)} of {_code(commands)}", reason) for (reason, names), commands in options.items()
    ]
    yield from _table("command or option", "why", rows)


def _answers() -> Iterator[str]:
    yield "## Answers of command lines\n"
    rows = [
        (f"`docker {line}`: the {'exit code' if field == 'code' else field} is {value}", reason)
        for line, (reason, field, value) in cases.DEVIATIONS.items()
    ]
    yield from _table("ours", "why", rows)
    steps = [step for group in cases.GROUPS.values() for step in group]
    loose = _code(step.line for step in steps if step.compare == "code")
    yield (
        "Of all the command lines these are compared by their exit code alone, where the words name an "
        f"engine's own parts: {loose}.\n"
    )
    yield "## Requests that cannot be met\n"
    rows = [
        (f"{name}: {status}, \u201c{_short(words)}\u201d", reason)
        for name, (reason, status, words) in wrong_deviations.BEHAVIOUR.items()
    ]
    yield from _table("ours", "why", rows)


def _api() -> Iterator[str]:
    yield "## The API\n"
    yield "Operations that cannot succeed here:\n"
    rows = [(_code(names), reason) for reason, names in _by_reason(api.UNSUCCESSFUL).items()]
    yield from _table("operation", "why", rows)
    yield "Fields that are published and never come:\n"
    rows = [(_code(names), reason) for reason, names in _by_reason(api.ABSENT).items()]
    yield from _table("field", "why", rows)
    yield "Fields that recorded answers of Docker's have otherwise:\n"
    rows = [
        (f"`{request.removeprefix('* ')}`: `{_unescaped(field)}`", reason)
        for request, field, reason in answer_deviations.FIELDS
    ]
    yield from _table("ours", "why", rows)
    yield "Statuses that are published and never come, here or in Docker:\n"
    rows = [(f"`{name}` {status}", reason) for (name, status), reason in api.UNPROVOKED.items()]
    yield from _table("answer", "why", rows)
    nulls = _code(api.LOOSENED)
    yield f"Fields that are `null` against the description, as in Docker's own answers: {nulls}.\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
