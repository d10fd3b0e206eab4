"""Checkpoints of containers: made by CRIU, kept as directories of images, gone on from by ``start``.

::

    create ─▶ dump process (``monitor/checkpoints.py``) ─▶ images are there ─▶ "checkpoint"
                                   └─▶ the container ends (unless left running) ─▶ its monitor tells, as ever

They lie below the container's own directory, and so go with it, or where the client says.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from typing import Any

from wharfie.engine import lifecycle
from wharfie.engine.container import Container
from wharfie.engine.context import Context
from wharfie.engine.starting import Starting
from wharfie.engine.supervisor import Supervisor
from wharfie.errors import Conflict, InternalError, InvalidArgument, NotSupported, WharfieError
from wharfie.monitor.unfinished import unfinished
from wharfie.runtime.cgroups.select import open_cgroup
from wharfie.runtime.criu import service
from wharfie.support.files import remove_tree
from wharfie.wire.checkpoints import Checkpoint, CreateCheckpoint

_CHARACTERS = "[a-zA-Z0-9][a-zA-Z0-9_.-]"
_NAME = re.compile(f"{_CHARACTERS}+")
_START = "import sys; sys.path.append(sys.argv[1]); from wharfie.monitor.checkpoints import main; main()"
_SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_PATIENCE = 30.0
"""Seconds for a container that was dumped to its end to be seen as ended."""


class CheckpointFailed(InternalError):
    """A checkpoint cannot be made, found or removed."""


class Checkpoints:
    """The verbs of ``checkpoint``."""

    def __init__(self, context: Context, supervisor: Supervisor, starting: Starting) -> None:
        self._context = context
        self._supervisor = supervisor
        self._starting = starting

    async def create(self, ref: str, asked: CreateCheckpoint) -> None:
        """Make one; raises Conflict when the container does not run, CheckpointFailed, NotSupported."""
        self._need_experimental()
        container = self._context.registry.get(ref)
        async with container.lock:
            if not container.status.running or container.link is None:
                raise Conflict(f"container {container.id} is not running")
            name = asked.checkpoint_id
            if not _NAME.fullmatch(name):
                raise CheckpointFailed(f"Invalid checkpoint ID ({name}), only {_CHARACTERS} are allowed")
            images = f"{directory_of(container, asked.checkpoint_dir)}/{name}"
            if os.path.lexists(images):
                raise CheckpointFailed(f"cannot checkpoint container {ref}: {_taken(images, name, ref)}")
            try:
                await self._dump(container, images, leave=not asked.exit)
            except WharfieError as error:
                raise type(error)(f"Cannot checkpoint container {ref}: {error.message}") from None
        self._context.registry.emit(container, "checkpoint")

    async def _dump(self, container: Container, images: str, *, leave: bool) -> None:
        link = container.link
        assert link is not None
        request = {
            "pid": link.pid,
            "cgroup": link.cgroup,
            "spec": self._starting.configuration(container),
            "bundle": container.directory,
            "criu": service.find("criu"),
            "images": images,
            "work": _work_of(container),
            "leave_running": leave,
            "frozen": container.status.paused,
        }
        if not leave:
            self._supervisor.apply(container, lifecycle.StopRequested())
        try:
            await _dump_process(request)
        except BaseException:
            if not leave and container.status.running:
                self._supervisor.apply(container, lifecycle.StopRetracted())
            raise
        if not leave:
            await asyncio.wait([link.exited], timeout=_PATIENCE)

    def list(self, ref: str, directory: str) -> list[Checkpoint]:
        """Those of a container, or those in ``directory``."""
        self._need_experimental()
        place = directory_of(self._context.registry.get(ref), directory)
        try:
            with os.scandir(place) as entries:
                names = sorted(entry.name for entry in entries if entry.is_dir() and entry.name[0] != ".")
        except FileNotFoundError:
            return []
        except OSError as error:
            raise CheckpointFailed(f"{place}: {error.strerror}") from None
        return [Checkpoint(name=name) for name in names]

    def remove(self, ref: str, name: str, directory: str) -> None:
        """Remove one; raises CheckpointFailed."""
        self._need_experimental()
        remove_tree(find(self._context.registry.get(ref), ref, name, directory))

    async def start(self, ref: str, name: str, directory: str) -> None:
        """Start a container from a checkpoint; raises as ``start`` does, and CheckpointFailed."""
        if not self._context.defaults.experimental:
            raise InvalidArgument("checkpoint is only supported in experimental mode")
        container = self._context.registry.get(ref)
        images = find(container, ref, name, directory)
        asked = {"criu": service.find("criu"), "images": images, "work": _work_of(container)}
        await self._starting.start(container, asked)

    def _need_experimental(self) -> None:
        if not self._context.defaults.experimental:
            raise NotSupported(
                "This experimental feature is disabled by default. Start the Docker daemon in experimental "
                "mode in order to enable it."
            )


def _work_of(container: Container) -> str:
    """Where the logs of its latest dump and restore are."""
    return f"{container.directory}/criu"


def directory_of(container: Container, asked: str) -> str:
    """Where checkpoints are."""
    return os.path.abspath(asked) if asked else f"{container.directory}/checkpoints"


def find(container: Container, ref: str, name: str, directory: str) -> str:
    """The directory of a checkpoint; raises CheckpointFailed where there is none."""
    images = f"{directory_of(container, directory)}/{name}"
    if not _NAME.fullmatch(name) or not os.path.lexists(images):
        raise CheckpointFailed(f"checkpoint {name} does not exist for container {ref}")
    if os.path.islink(images) or not os.path.isdir(images):
        raise CheckpointFailed(f"{images} exists and is not a directory")
    return images


def _taken(images: str, name: str, ref: str) -> str:
    if os.path.isdir(images):
        return f"checkpoint with name {name} already exists for container {ref}"
    return f"{images} exists and is not a directory"


def _take_back(request: dict[str, Any], pid: int) -> None:
    """What a dump process that was killed has left: images that are not whole, perhaps a frozen container."""
    remove_tree(unfinished(request["images"], pid))
    group = open_cgroup(request["cgroup"])
    if group.frozen() and not request["frozen"]:
        group.thaw()


async def _dump_process(request: dict[str, Any]) -> None:
    """Have a process of its own do it; raises CheckpointFailed with its reason."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", "-c", _START, _SOURCE,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    )  # fmt: skip
    output, _ = await process.communicate(json.dumps(request).encode())
    if not output:
        _take_back(request, process.pid)
    answer = json.loads(output) if output else {"error": "the process that makes it died"}
    if "error" in answer:
        raise CheckpointFailed(answer["error"])
