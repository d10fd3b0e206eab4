"""Checkpoints of the engine's containers: the dump by a process of its own, the restore by a launch's child.

::

    daemon ── request on stdin ──▶ dump process ── criu ──▶ images ── renamed when they are whole
           ◀── {} or {"error"} ──

The dump process is no child of the container's monitor and has a session of its own: a daemon that is killed
meanwhile changes nothing, the images become whole or are gone. The restore happens where otherwise a
container is created (``creation.py``), in the child of a standby monitor; when that ends, the container's
first process becomes the monitor's.
"""

from __future__ import annotations

import posix as os
import sys

from wharfie.errors import WharfieError
from wharfie.monitor.unfinished import unfinished
from wharfie.runtime import parent
from wharfie.runtime.cgroups.select import open_cgroup
from wharfie.runtime.criu import dumping, restoring, service
from wharfie.runtime.criu import options as words
from wharfie.runtime.criu.failing import failure
from wharfie.runtime.launch import Launch
from wharfie.runtime.state import streams_of
from wharfie.runtime.sync import describe
from wharfie.support import json, paths
from wharfie.support.files import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def main() -> None:
    """The dump process: reads one request, answers, and ends."""
    answer: dict[str, Any] = {}
    try:
        dump(json.loads(sys.stdin.buffer.read()))
    except WharfieError as error:
        answer["error"] = error.message
    except OSError as error:
        answer["error"] = describe(error)
    os.write(1, json.dumps(answer).encode())
    os._exit(0)


def dump(request: dict[str, Any]) -> None:
    """Dump what the request describes; raises WharfieError, OSError, with no images left."""
    images: str = request["images"]
    beginning = unfinished(images, os.getpid())
    paths.makedirs(beginning, 0o700)
    try:
        subject = dumping.Subject(
            pid=request["pid"],
            spec=request["spec"],
            bundle=request["bundle"],
            root="",
            cgroup=open_cgroup(request["cgroup"]),
            descriptors=streams_of(request["pid"]),
        )
        told = words.dumping({"leave-running": request["leave_running"]})
        dumping.dump(subject, request["criu"], told, images=beginning, work=request["work"])
        os.rename(beginning, images)
    except BaseException:
        remove_tree(beginning)
        raise


def restore(launch: Launch, asked: dict[str, Any], directory: str) -> parent.Container:
    """The container of a launch from its images, running; raises WharfieError, with all undone.

    ``asked`` has the paths of CRIU, of the images and for its log; ``directory`` is one of the container's
    own.
    """
    program, images, work = asked["criu"], asked["images"], asked["work"]
    version = service.check_version(program)
    descriptors = restoring.read_descriptors(images)
    dumping.make_directory(work)
    try:
        return restoring.Restore(
            launch,
            program,
            directory=directory,
            images=images,
            work=work,
            told=words.restoring({}),
        ).run(descriptors)
    except service.CriuFailure as error:
        raise failure(error, "RESTORE", version, f"{work}/restore.log") from None
