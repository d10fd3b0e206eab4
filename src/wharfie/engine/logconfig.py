"""A container's log options as the monitor takes them."""

from __future__ import annotations

import re
from typing import Any

from wharfie.engine.container import Container
from wharfie.errors import InvalidArgument
from wharfie.support.units import parse_size

MAX_SIZE = 100 << 20
MAX_FILES = 5
"""Ours: rotation is on by default, so that no log fills a disk."""


class BadLogOption(InvalidArgument):
    """A value that the log driver cannot use."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"failed to create task for container: failed to initialize logging driver: {reason}"
        )


def log_request(container: Container) -> dict[str, Any]:
    """``LaunchRequest.log``; raises BadLogOption."""
    record = container.record
    if record.log_driver == "none":
        return {"driver": "none", "path": "", "max_size": 0, "max_file": 1, "attrs": {}}
    options = record.log_options
    return {
        "driver": "json-file",
        "path": container.log_path,
        "max_size": _size(options.get("max-size", "")),
        "max_file": _count(options),
        "attrs": _attributes(container, options),
    }


def _size(text: str) -> int:
    if not text:
        return MAX_SIZE
    if text == "-1":
        return 0
    try:
        return parse_size(text)
    except ValueError:
        raise BadLogOption(f"invalid size: '{text}'") from None


def _count(options: dict[str, str]) -> int:
    text = options.get("max-file", "")
    if not text:
        # Docker keeps one file where only its size is limited
        return 1 if options.get("max-size") else MAX_FILES
    if not text.isdigit() or int(text) < 1:
        raise BadLogOption("max-file cannot be less than 1")
    return int(text)


def _attributes(container: Container, options: dict[str, str]) -> dict[str, str]:
    """Labels and variables that each line carries, as ``logs --details`` shows them."""
    labels = container.config.labels or {}
    env = dict(entry.partition("=")[::2] for entry in container.config.env or ())
    found = _chosen(labels, options.get("labels", ""), options.get("labels-regex", ""))
    found.update(_chosen(env, options.get("env", ""), options.get("env-regex", "")))
    if options.get("tag"):
        found["tag"] = (
            options["tag"].replace("{{.ID}}", container.short_id).replace("{{.Name}}", container.name)
        )
    return found


def _chosen(values: dict[str, str], names: str, pattern: str) -> dict[str, str]:
    wanted = {name for name in names.split(",") if name}
    try:
        matches = re.compile(pattern).search if pattern else None
    except re.error as error:
        raise BadLogOption(f"invalid regular expression '{pattern}': {error}") from None
    return {
        name: value
        for name, value in values.items()
        if name in wanted or (matches is not None and matches(name))
    }
