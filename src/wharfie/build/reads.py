"""Which paths of the context the instructions of a build name: a client that can send a part sends these."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator

from wharfie.build import fetch
from wharfie.build import instructions as ins


def named(stages: Iterable[ins.Stage]) -> list[str] | None:
    """Paths and patterns, relative; None where all of the context may be read."""
    found: dict[str, None] = {}
    for stage in stages:
        for item in stage.steps:
            for source in _sources(item):
                path = posixpath.normpath("/" + source).lstrip("/")
                if not path or "$" in source:
                    return None
                found[path] = None
    return list(found)


def _sources(item: ins.Instruction) -> Iterator[str]:
    if isinstance(item, ins.Copy) and not item.origin:
        for source in item.sources:
            if not (item.add and (fetch.is_git(source) or fetch.is_url(source))):
                yield source
    elif isinstance(item, ins.Run):
        for mount in item.mounts:
            if mount.kind == "bind" and not mount.origin:
                yield mount.source or "/"
