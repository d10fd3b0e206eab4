"""Creating the container, in the child that a monitor forks for it; the child's memory goes with it."""

from __future__ import annotations

import posix as os
import time

from wharfie.monitor.protocol import LaunchRequest
from wharfie.runtime import parent
from wharfie.runtime.launch import Launch
from wharfie.support import json
from wharfie.support.files import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from wharfie.runtime.cgroups.base import Cgroup


def create(
    document: int,
    stdio: tuple[int, int, int] | None,
    trees: list[int],
    meanwhile: Callable[[Cgroup], None],
) -> tuple[dict[str, Any], list[int]]:
    """Create and start what the document asks for: facts, and the descriptors [pidfd, terminal's master?].

    ``stdio``: without a terminal, the container's ends of its three streams. ``trees``: the detached mounts
    that the document names. ``meanwhile`` is called with the cgroup while the container's process is at work.
    """
    size = os.fstat(document).st_size
    request = LaunchRequest.from_json(json.loads(os.pread(document, size, 0)))
    linux = request.spec.get("linux") or {}
    facts: dict[str, Any] = {}

    def work(container: parent.Container) -> None:
        facts.update(
            pid=container.pid,
            start_time=container.start_time,
            cgroup=container.cgroup.path,
            process=json.dumps(request.spec["process"]),
            join_spec={"linux": {"seccomp": {"flags": (linux.get("seccomp") or {}).get("flags")}}},
            own_pids=any(
                item["type"] == "pid" and not item.get("path") for item in linux.get("namespaces") or ()
            ),
        )
        meanwhile(container.cgroup)

    launch = _launch(request, stdio, trees)
    if request.checkpoint is None:
        container = parent.create(launch, start=True, meanwhile=work)
    else:
        from wharfie.monitor import checkpoints  # rare, and much: this process is short-lived

        container = checkpoints.restore(launch, request.checkpoint, request.directory)
        work(container)
    facts["adopted"] = not container.sibling
    facts["started_at_ns"] = time.time_ns()
    made = [container.pidfd] if container.console is None else [container.pidfd, container.console]
    if container.mounts >= 0:
        # the monitor keeps it until its own end
        made.append(container.mounts)
    return facts, made


def _launch(request: LaunchRequest, stdio: tuple[int, int, int] | None, trees: list[int]) -> Launch:
    # the monitor's own score must not reach the container
    request.spec["process"].setdefault("oomScoreAdj", 0)
    return Launch(
        request.id,
        request.spec,
        bundle=request.bundle,
        rootfs=request.rootfs,
        cgroup=request.cgroup,
        interfaces=request.interfaces,
        seccomp=None if request.seccomp_path is None else read_file(request.seccomp_path),
        stdio=stdio,
        init_path=request.init_path,
        console_size=request.console_size,
        sibling=True,
        trees=dict(zip(request.trees, trees, strict=True)),
    )
