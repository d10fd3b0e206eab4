"""Questions about a Dockerfile instead of a build: ``--check``, ``--call outline``, ``--call targets``.

The answers are documents in the metadata of a result without files, as BuildKit's frontend gives them.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from wharfie.build import instructions as ins
from wharfie.build.solver import Solver
from wharfie.build.work import Work, check_text
from wharfie.buildkit.failures import told
from wharfie.errors import NotSupported

_VERSION = b"1.0.0"
_COMMENT = re.compile(r"\s*#\s?(.*)")
_DESCRIPTIONS = {
    "frontend.outline": "List all parameters current build target supports",
    "frontend.targets": "List all targets current build supports",
    "frontend.lint": "Lint a Dockerfile",
    "frontend.subrequests.describe": "List available subrequest types",
}


def check(request: str) -> None:
    """Raises NotSupported."""
    if request not in _DESCRIPTIONS:
        raise NotSupported(f"unsupported request {request}")


def answer(request: str, work: Work, solver: Solver) -> dict[str, bytes]:
    """The metadata."""
    answers: dict[str, Callable[[], tuple[Any, str]]] = {
        "frontend.outline": lambda: _outline(work, solver),
        "frontend.targets": lambda: _targets(solver),
        "frontend.lint": lambda: _lint(work, solver),
        "frontend.subrequests.describe": _described,
    }
    document, text = answers[request]()
    found = {
        "result.json": msgspec.json.format(msgspec.json.encode(document), indent=2),
        "result.txt": text.encode(),
        "version": _VERSION,
    }
    if request == "frontend.lint":
        found["result.statuscode"] = b"1" if work.findings else b"0"
    return found


def _described() -> tuple[Any, str]:
    results = [{"name": "result.json", "description": ""}, {"name": "result.txt", "description": ""}]
    document = [
        {
            "name": name, "version": _VERSION.decode(), "type": "rpc", "description": text,
            "opts": [], "inputs": None, "metadata": results, "refs": None,
        }
        for name, text in _DESCRIPTIONS.items()
    ]  # fmt: skip
    rows = [(name.removeprefix("frontend."), _VERSION.decode(), text) for name, text in _DESCRIPTIONS.items()]
    return document, _table(("NAME", "VERSION", "DESCRIPTION"), rows)


def _targets(solver: Solver) -> tuple[Any, str]:
    stages, rows = [], []
    default = solver.file.stages[-1]
    for stage in solver.file.stages:
        name, text = stage.head.name, _comment(solver.file, stage.head, stage.head.name)
        found: dict[str, Any] = {"name": name} if name else {}
        if stage is default:
            found["default"] = True
        if text:
            found["description"] = text
        stages.append({**found, "base": stage.head.base, "location": _location(stage.head)})
        shown = " ".join(filter(None, (name, "(default)" if stage is default else "")))
        rows.append((shown or f"stage-{stage.index}", text))
    return {"targets": stages, "sources": _sources(solver)}, _table(("TARGET", "DESCRIPTION"), rows)


def _outline(work: Work, solver: Solver) -> tuple[Any, str]:
    target, own = solver.target, solver.own_stages()
    given = work.shop.options.arguments
    arguments: dict[str, dict[str, Any]] = {}
    mounts: dict[str, dict[str, dict[str, Any]]] = {"secret": {}, "ssh": {}, "cache": {}}
    for item in _instructions(solver, own):
        if isinstance(item, ins.Arg):
            for name, default in item.pairs:
                value = given.get(name) or default
                text = _comment(solver.file, item, name)
                said = {"name": name, "description": text, "value": value or ""}
                one: dict[str, Any] = {key: found for key, found in said.items() if found}
                arguments[name] = {**one, "location": _location(item)}
        elif isinstance(item, ins.Run):
            for mount in item.mounts:
                _mount(mounts, mount, _location(item))
    name, text = target.head.name, _comment(solver.file, target.head, target.head.name)
    document: dict[str, Any] = {"name": name} if name else {}
    if text:
        document["description"] = text
    parts = {"args": arguments, "secrets": mounts["secret"], "ssh": mounts["ssh"], "cache": mounts["cache"]}
    document |= {key: list(found.values()) for key, found in parts.items() if found}
    rows = [(one["name"], one.get("value", ""), one.get("description", "")) for one in arguments.values()]
    shown = f"TARGET:   {name or '(default)'}\n\n" + _table(("BUILD ARG", "VALUE", "DESCRIPTION"), rows)
    return {**document, "sources": _sources(solver)}, shown


def _instructions(solver: Solver, stages: set[int]) -> Iterator[ins.Instruction]:
    yield from solver.file.arguments
    for stage in solver.file.stages:
        if stage.index in stages:
            yield from stage.steps


def _mount(found: dict[str, dict[str, dict[str, Any]]], mount: ins.Mount, place: dict[str, Any]) -> None:
    if mount.kind == "cache":
        name = mount.id or mount.target
        found["cache"].setdefault(name, {"ID": name, "location": place})
    elif mount.kind in found:
        name = mount.id or (mount.target.rpartition("/")[2] if mount.kind == "secret" else "default")
        one = found[mount.kind].setdefault(name, {"name": name, "location": place})
        if mount.required:
            one["required"] = True


def _lint(work: Work, solver: Solver) -> tuple[Any, str]:
    warnings = [
        {
            "ruleName": one.rule, "url": one.url, "detail": one.message,
            "location": _lines(one.first, one.last),
        }
        for one in work.findings
    ]  # fmt: skip
    sources = [
        {"filename": work.shop.options.dockerfile, "language": "Dockerfile", "data": _sources(solver)[0]}
    ]
    text = "".join(
        f"WARNING: {one.rule} - {one.url}\n{one.message}\n"
        + (f"{work.shop.options.dockerfile}:{one.first}\n" if one.first else "")
        for one in work.findings
    )
    return {"warnings": warnings, "sources": sources}, text + check_text(work.findings)


def _comment(file: ins.Dockerfile, item: ins.Instruction, name: str) -> str:
    """What the lines above an instruction say of a name: ``# name and what it is for``."""
    at = item.line.first - 2
    while name and 0 <= at < len(file.source):
        found = _COMMENT.fullmatch(file.source[at])
        if found is None:
            break
        if found[1].startswith(f"{name} "):
            return found[1].removeprefix(f"{name} ")
        at -= 1
    return ""


def _location(item: ins.Instruction) -> dict[str, Any]:
    return _lines(item.line.first, item.line.last)


def _lines(first: int, last: int) -> dict[str, Any]:
    return {"ranges": [{"start": {"line": line}, "end": {"line": line}} for line in told(first, last)]}


def _sources(solver: Solver) -> list[str]:
    return [b64encode("\n".join(solver.file.source).encode("utf-8", "replace")).decode()]


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(row[at]) for row in [head, *rows]) for at in range(len(head) - 1)]
    lines = []
    for row in [head, *rows]:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append(" ".join([*cells, row[-1]]) + "\n")
    return "".join(lines)
