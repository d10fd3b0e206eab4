"""Has CRIU write a container's processes to images, for the command line and for the engine.

A dump that fails leaves the container as it was, running or paused.
"""

from __future__ import annotations

import posix as os

from wharfie.errors import InvalidArgument, NotSupported
from wharfie.linux.process import NAMESPACES
from wharfie.runtime.criu import external, service
from wharfie.runtime.criu import options as words
from wharfie.runtime.criu.failing import failure
from wharfie.runtime.sync import describe
from wharfie.support import json, paths
from wharfie.support.files import atomic_write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from wharfie.runtime.cgroups.base import Cgroup

_LOG = "dump.log"
_EXTERNAL = {"network": ("net", "extRootNetNS"), "pid": ("pid", "extRootPidNS")}


class Subject:
    """The container to dump: its first process, and what it was made from."""

    __slots__ = ("bundle", "cgroup", "descriptors", "pid", "root", "spec")

    def __init__(
        self,
        *,
        pid: int,
        spec: dict[str, Any],
        bundle: str,
        root: str,
        cgroup: Cgroup,
        descriptors: list[str],
    ) -> None:
        """``descriptors``: what its standard streams are; ``root`` the absolute path of its root, or ""."""
        self.pid = pid
        self.spec = spec
        self.bundle = bundle
        self.root = root
        self.cgroup = cgroup
        self.descriptors = descriptors


def dump(
    subject: Subject,
    program: str,
    told: dict[str, Any],
    *,
    images: str,
    work: str,
    before: bool = False,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Dump it; raises WharfieError.

    ``told`` is what the command's options are for CRIU, ``work`` the directory of the log. ``before``: only
    its memory, ahead of the dump. ``ready`` is called when pages can be fetched.
    """
    version = service.check_version(program)
    if before:
        service.check_feature(program, "mem_track", "pre-dump", "the kernel's tracking of changed memory")
    if told.get("lazy_pages"):
        service.check_feature(program, "lazy_pages", "lazy-pages", "userfaultfd(2)")
    words.check_searchable(images, subject.spec.get("linux") or {})
    for path in (images, work):
        make_directory(path)
    frozen = subject.cgroup.frozen()
    try:
        _dump(subject, program, told, (images, work), before=before, ready=ready)
    except service.CriuFailure as error:
        # one that dies has perhaps left it frozen
        if not frozen and subject.cgroup.frozen():
            subject.cgroup.thaw()
        raise failure(error, "PRE_DUMP" if before else "DUMP", version, f"{work}/{_LOG}") from None


def make_directory(path: str) -> None:
    """Make a directory for images or the log where it is not there; raises InvalidArgument."""
    try:
        paths.makedirs(path, 0o700, exist_ok=True)
    except OSError as error:
        raise InvalidArgument(f"mkdir {describe(error)}") from None


def _dump(
    subject: Subject,
    program: str,
    told: dict[str, Any],
    places: tuple[str, str],
    *,
    before: bool,
    ready: Callable[[], None],
) -> None:
    told = {**told, "log_file": _LOG, "pid": subject.pid}
    if subject.root:
        told["root"] = paths.realpath(subject.root)
    told |= {"images_dir_fd": service.FIRST_FILE, "work_dir_fd": service.FIRST_FILE + 1}
    told["external"] = _namespaces(subject.spec)
    for freezer in subject.cgroup.directories()[:1]:
        if paths.isdir(freezer):
            # all stand still at once, those that are being forked too
            told["freeze_cgroup"] = freezer
    if not before:
        told["ext_mnt"] = external.for_dump(subject.pid, subject.spec, subject.bundle, subject.cgroup)
        content = json.dumps(subject.descriptors).encode()
        atomic_write(f"{places[0]}/{words.DESCRIPTORS}", content, sync=False)
    kind = service.PRE_DUMP if before else service.DUMP

    def notified(script: str, _pid: int, _fds: list[int]) -> None:
        if script == "status-ready":
            ready()

    worker = service.Worker(program, lambda: [service.open_directory(path) for path in places])
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
