"""The command checkpoint: CRIU writes the container's processes to images, and they end or go on.

A dump that fails leaves the container as it was; a container that ended with its dump is removed.
"""

from __future__ import annotations

import os

from wharfie.errors import Conflict, InvalidArgument, NotSupported
from wharfie.linux.process import NAMESPACES
from wharfie.runtime import control
from wharfie.runtime.criu import external, service
from wharfie.runtime.criu import options as words
from wharfie.runtime.criu.failing import failure
from wharfie.runtime.state import Record, Store
from wharfie.runtime.sync import describe
from wharfie.support import json
from wharfie.support.files import atomic_write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LOG = "dump.log"
_EXTERNAL = {"network": ("net", "extRootNetNS"), "pid": ("pid", "extRootPidNS")}


def do_checkpoint(store: Store, options: dict[str, Any], positional: list[str]) -> int:
    """``checkpoint``."""
    record = store.take(positional[0])
    status = record.status()
    if status not in ("running", "paused"):
        raise Conflict(f"Container cannot be checkpointed in {status} state")
    told = words.dumping(options)
    program = options["criu"]
    version = service.check_version(program)
    if options.get("pre-dump"):
        service.check_feature(program, "mem_track", "pre-dump", "the kernel's tracking of changed memory")
    if options.get("lazy-pages"):
        service.check_feature(program, "lazy_pages", "lazy-pages", "userfaultfd(2)")
    images = words.image_path(options)
    words.check_searchable(images, record.spec.get("linux") or {})
    work = os.path.abspath(options["work-path"]) if options.get("work-path") else images
    for path in (images, work):
        make_directory(path)
    try:
        _dump(record, options, told, (images, work))
    except service.CriuFailure as error:
        _go_on(record, status)
        kind = "PRE_DUMP" if options.get("pre-dump") else "DUMP"
        raise failure(error, kind, version, f"{work}/{_LOG}") from None
    if not (options.get("leave-running") or options.get("pre-dump")):
        control.wait_gone(record)
        control.remove(record)
    return 0


def make_directory(path: str) -> None:
    """Make a directory for images or the log where it is not there; raises InvalidArgument."""
    try:
        os.makedirs(path, 0o700, exist_ok=True)
    except OSError as error:
        raise InvalidArgument(f"mkdir {describe(error)}") from None


def _dump(record: Record, options: dict[str, Any], told: dict[str, Any], paths: tuple[str, str]) -> None:
    cgroup = record.open_cgroup()
    told |= {"log_file": _LOG, "root": os.path.realpath(record.rootfs), "pid": record.pid}
    told |= {"images_dir_fd": service.FIRST_FILE, "work_dir_fd": service.FIRST_FILE + 1}
    told["external"] = _namespaces(record.spec)
    freezer = cgroup.directories()[0]
    if os.path.isdir(freezer):
        # all stand still at once, those that are being forked too
        told["freeze_cgroup"] = freezer
    if not options.get("pre-dump"):
        told["ext_mnt"] = external.for_dump(record.pid, record.spec, record.bundle, cgroup)
        atomic_write(f"{paths[0]}/{words.DESCRIPTORS}", json.dumps(record.descriptors).encode(), sync=False)
    kind = service.PRE_DUMP if options.get("pre-dump") else service.DUMP
    status_fd = options.get("status-fd", -1)

    def notified(script: str, _pid: int, _fds: list[int]) -> None:
        if script == "status-ready" and status_fd >= 0:
            os.write(status_fd, b"\0")
            os.close(status_fd)

    worker = service.Worker(options["criu"], lambda: [service.open_directory(path) for path in paths])
    try:
        worker.call({"type": kind, "opts": told}, notified)
    finally:
        code = worker.close()
    # after a pre-dump it waits for the dump itself, which another worker will do
    if code and kind == service.DUMP:
        raise service.CriuFailure(f"it ended with exit code {code}")


def _namespaces(spec: dict[str, Any]) -> list[str]:
    """What CRIU is to take as given: namespaces by path (those that it cannot are refused)."""
    found = []
    for item in (spec.get("linux") or {}).get("namespaces") or ():
        path, kind = item.get("path") or "", item.get("type") or ""
        if not path:
            continue
        if kind in ("mount", "cgroup"):
            raise NotSupported(
                f"CRIU cannot checkpoint a container that has joined a {kind} namespace: {path}"
            )
        if kind in _EXTERNAL and kind in NAMESPACES:
            name, key = _EXTERNAL[kind]
            try:
                found.append(f"{name}[{os.stat(path).st_ino}]:{key}")
            except OSError as error:
                raise InvalidArgument(f"the container's {kind} namespace: {describe(error)}") from None
    return found


def _go_on(record: Record, status: str) -> None:
    """Let a container run that a dying CRIU has left frozen."""
    cgroup = record.open_cgroup()
    if status == "running" and cgroup.frozen():
        cgroup.thaw()
