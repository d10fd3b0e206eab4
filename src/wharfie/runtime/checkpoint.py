"""The command checkpoint: CRIU writes the container's processes to images, and they end or go on.

A dump that fails leaves the container as it was; a container that ended with its dump is removed.
"""

from __future__ import annotations

import posix as os

from wharfie.errors import Conflict, NotSupported
from wharfie.runtime import control
from wharfie.runtime.criu import dumping
from wharfie.runtime.criu import options as words
from wharfie.runtime.state import Record, Store
from wharfie.support import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def do_checkpoint(store: Store, options: dict[str, Any], positional: list[str]) -> int:
    """``checkpoint``."""
    record = store.take(positional[0])
    status = record.status()
    if status not in ("running", "paused"):
        raise Conflict(f"Container cannot be checkpointed in {status} state")
    if options["unprivileged"]:
        raise NotSupported("CRIU can checkpoint and restore containers for the host's root only")
    told = words.dumping(options)
    images = words.image_path(options)
    work = paths.abspath(options["work-path"]) if options.get("work-path") else images
    status_fd = options.get("status-fd", -1)

    def ready() -> None:
        if status_fd >= 0:
            os.write(status_fd, b"\0")
            os.close(status_fd)

    before = bool(options.get("pre-dump"))
    dumping.dump(
        _subject(record), options["criu"], told, images=images, work=work, before=before, ready=ready
    )
    if not (options.get("leave-running") or before):
        control.wait_gone(record)
        control.remove(record)
    return 0


def _subject(record: Record) -> dumping.Subject:
    return dumping.Subject(
        pid=record.pid,
        spec=record.spec,
        bundle=record.bundle,
        root=record.rootfs,
        cgroup=record.open_cgroup(),
        descriptors=record.descriptors,
    )
