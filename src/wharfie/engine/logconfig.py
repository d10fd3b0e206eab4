"""A container's log options as the monitor takes them."""

from __future__ import annotations

import re
from typing import Any

from wharfie.engine.container import Container
from wharfie.engine.logoptions import SENT, truth
from wharfie.errors import InvalidArgument
from wharfie.support.units import parse_size

MAX_SIZE = 100 << 20
MAX_FILES = 5
"""Ours: rotation is on by default, so that no log fills a disk."""
CACHE_SIZE = 20 << 20
_FIELD = re.compile(r"{{\s*\.(\w+)\s*}}")


class BadLogOption(InvalidArgument):
    """What the log driver cannot use, or cannot reach."""


def start_failed(reason: str) -> BadLogOption:
    """In Docker's words."""
    return BadLogOption(f"failed to create task for container: failed to initialize logging driver: {reason}")


def readable(container: Container) -> bool:
    """Whether ``docker logs`` can show what it wrote."""
    record = container.record
    if record.log_driver in SENT:
        return not truth(record.log_options, "cache-disabled")
    return record.log_driver != "none"


def packs(container: Container) -> bool:
    """Whether the older parts of its log are compressed; not those of one whose options are wrong."""
    record = container.record
    options, name = record.log_options, "compress"
    if record.log_driver in SENT:
        name = "cache-compress"
    if record.log_driver in (*SENT, "local"):
        options = {name: "true", **options}
    try:
        return record.log_driver != "none" and readable(container) and truth(options, name)
    except InvalidArgument:
        return False


def log_request(container: Container) -> dict[str, Any]:
    """``LaunchRequest.log``; raises BadLogOption."""
    record = container.record
    if record.log_driver == "none":
        return {"driver": "none", "path": "", "max_size": 0, "max_file": 1, "attrs": {}}
    options = record.log_options
    found = attributes(container, options)
    if options.get("tag"):
        found["tag"] = tag(container, options)
    if record.log_driver == "local":
        return {"driver": "json-file", "path": container.spool_path, "attrs": found, **_local(options)}
    # what is sent on is kept beside it as well, under limits of its own
    prefix, default = ("cache-", CACHE_SIZE) if record.log_driver in SENT else ("", MAX_SIZE)
    size = _size(options.get(f"{prefix}max-size", ""), default)
    count = _count(options, prefix)
    if not prefix:
        _check_compress(options, size, count)
    return {
        "driver": "json-file",
        "path": container.spool_path,
        "max_size": size,
        "max_file": count,
        "attrs": found,
    }


def _check_compress(options: dict[str, str], size: int, count: int) -> None:
    try:
        compressed = truth(options, "compress")
    except InvalidArgument as error:
        raise start_failed(error.message.removeprefix("invalid value for compress: ")) from None
    if compressed and (count < 2 or not size):
        raise start_failed("compress cannot be true when max-file is less than 2 or max-size is not set")


def _local(options: dict[str, str]) -> dict[str, int]:
    """Limits of the driver ``local``, and what Docker's refuses; raises BadLogOption."""
    size, count = options.get("max-size", ""), options.get("max-file", "")
    try:
        limit = parse_size(size) if size else CACHE_SIZE
    except ValueError:
        raise start_failed(f"invalid value for max-size: {size}: invalid size: '{size}'") from None
    if count and not count.removeprefix("-").isdigit():
        problem = f'strconv.Atoi: parsing "{count}": invalid syntax'
        raise start_failed(f"invalid value for max-file: {count}: {problem}")
    files = int(count or MAX_FILES)
    if files < 0:
        raise start_failed("max file count cannot be less than 0")
    try:
        compressed = truth({"compress": "true", **options}, "compress")
    except InvalidArgument as error:
        reason = error.message.removeprefix("invalid value for compress: ")
        raise start_failed(f"error reading compress log option: {reason}") from None
    if compressed and files < 2:
        raise start_failed("compression cannot be enabled when max file count is 1")
    return {"max_size": limit, "max_file": max(1, files)}


def _size(text: str, default: int) -> int:
    if not text:
        return default
    if text == "-1":
        return 0
    try:
        return parse_size(text)
    except ValueError:
        raise start_failed(f"invalid size: '{text}'") from None


def _count(options: dict[str, str], prefix: str) -> int:
    text = options.get(f"{prefix}max-file", "")
    if not text:
        # Docker keeps one file where only its size is limited
        return 1 if not prefix and options.get("max-size") else MAX_FILES
    if not text.isdigit() or int(text) < 1:
        raise start_failed("max-file cannot be less than 1")
    return int(text)


def attributes(container: Container, options: dict[str, str]) -> dict[str, str]:
    """Labels and variables that each line carries, as ``logs --details`` shows them."""
    labels = container.config.labels or {}
    env = dict(entry.partition("=")[::2] for entry in container.config.env or ())
    found = _chosen(labels, options.get("labels", ""), options.get("labels-regex", ""))
    found.update(_chosen(env, options.get("env", ""), options.get("env-regex", "")))
    return found


def tag(container: Container, options: dict[str, str]) -> str:
    """What ``tag`` says of a container, its short id where it says nothing; raises BadLogOption."""
    template = options.get("tag") or "{{.ID}}"
    image = container.image_id.removeprefix("sha256:")
    known = {
        "ID": container.short_id,
        "FullID": container.id,
        "Name": container.name,
        "ImageID": image[:12],
        "ImageFullID": container.image_id,
        "ImageName": container.config.image,
        "DaemonName": "docker",
    }

    def value(found: re.Match[str]) -> str:
        if found[1] not in known:
            raise start_failed(f"failed to parse tag '{template}': there is no field '{found[1]}'")
        return known[found[1]]

    text = _FIELD.sub(value, template)
    if "{{" in text:
        raise start_failed(f"failed to parse tag '{template}': only fields like {{{{.Name}}}} are known")
    return text


def _chosen(values: dict[str, str], names: str, pattern: str) -> dict[str, str]:
    wanted = {name for name in names.split(",") if name}
    try:
        matches = re.compile(pattern).search if pattern else None
    except re.error as error:
        raise start_failed(f"invalid regular expression '{pattern}': {error}") from None
    return {
        name: value
        for name, value in values.items()
        if name in wanted or (matches is not None and matches(name))
    }
