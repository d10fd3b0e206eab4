"""Brings a container back from its images.

The container's control group, sources and namespaces are prepared as for a start (``parent.py``); then a
worker enters the group and a mount namespace of its own, becomes CRIU, and forks the processes from the
images beside itself, so that the first one is the caller's child::

    plan ─> sources, cgroup ─> worker: cgroup, mount namespace ─> criu: "setup-namespaces" (loopback, devices
        of the network, hooks) ─> "orphan-pts-master" (the terminal) ─> "post-restore" (the first process is
        there, and still stands) ─> answer: everything runs

Whatever fails, the group with all that is in it goes.
"""

from __future__ import annotations

import posix as os

from wharfie.errors import InvalidArgument, NotSupported
from wharfie.linux import mount, process
from wharfie.linux.fd import close_all
from wharfie.linux.loopback import raise_loopback
from wharfie.linux.process import (
    CLONE_NEWCGROUP,
    CLONE_NEWNET,
    CLONE_NEWNS,
    NAMESPACES,
    wait_pidfd,
)
from wharfie.runtime import parent
from wharfie.runtime.cgroups.select import open_cgroup
from wharfie.runtime.criu import options as words
from wharfie.runtime.criu import service
from wharfie.runtime.criu.external import Stage
from wharfie.runtime.launch import Launch, LaunchError
from wharfie.runtime.plan import Plan
from wharfie.runtime.processplan import own_bounding_set
from wharfie.runtime.sources import Sources, open_sources
from wharfie.runtime.sync import describe
from wharfie.support import json
from wharfie.support.files import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from wharfie.runtime.cgroups.entry import Entry

# CRIU hands these on as descriptors; others it enters by itself
_INHERITED = {NAMESPACES["network"]: "extRootNetNS", NAMESPACES["pid"]: "extRootPidNS"}
_LIMIT = 1 << 16


class Restore:
    """One restore."""

    def __init__(
        self,
        launch: Launch,
        program: str,
        *,
        directory: str,
        images: str,
        work: str,
        told: dict[str, Any],
        there: Callable[[parent.Container], None] = lambda container: None,
    ) -> None:
        """``directory`` is one of the container's own; ``told`` what the command's options are for CRIU.

        ``images`` and ``work`` are the directories of images and log. ``there`` is called when the first
        process exists and does not run yet. The streams are those of the launch, or the caller's own.
        """
        self._launch = launch
        self._program = program
        self._directory = directory
        self._images = images
        self._work = work
        self._told = told
        self._there = there
        # the filter is in the images
        linux = {**(launch.spec.get("linux") or {}), "seccomp": None}
        without = Launch(
            launch.id,
            {**launch.spec, "linux": linux},
            bundle=launch.bundle,
            rootfs=launch.rootfs,
            interfaces=launch.interfaces,
            init_path=launch.init_path,
            trees=launch.trees,
        )
        self._plan = Plan(without, own_bounding_set())
        self._refuse()

    def _refuse(self) -> None:
        for path, flag in self._plan.joins:
            if flag in (CLONE_NEWNS, CLONE_NEWCGROUP):
                kind = "mount" if flag == CLONE_NEWNS else "cgroup"
                raise NotSupported(f"CRIU cannot restore into an existing {kind} namespace: {path}")

    def run(self, descriptors: list[str]) -> parent.Container:
        """Restore; ``descriptors`` are what the standard streams were. Raises WharfieError."""
        plan, launch = self._plan, self._launch
        cgroup = open_cgroup(launch.cgroup)
        if plan.network is not None:
            plan.network.prepare()
        sources = open_sources(plan)
        try:
            parent.create_cgroup(cgroup, launch)
            container = parent.Container(plan, launch.spec, cgroup)
            container.unit = launch.unit
            try:
                self._restore(container, sources, descriptors)
            except BaseException as error:
                parent.abandon(container, error)
                raise
        finally:
            sources.close()
        return container

    def _restore(self, container: parent.Container, sources: Sources, descriptors: list[str]) -> None:
        trees = parent.cgroup_trees(self._plan, container.cgroup, sources)
        stage = Stage(self._directory, self._plan, sources, trees, self._launch.spec.get("linux") or {})
        inherited = self._inherited(sources)
        entry = container.cgroup.entry()
        try:
            worker = service.Worker(
                self._program,
                lambda: self._prepare(entry, stage, inherited),
                cgroup=entry.clone_fd,
            )
        finally:
            entry.close()
        try:
            told = self._options(stage, inherited, descriptors)
            told["cg_root"] = _groups_of(worker.pid)
            request = {"type": service.RESTORE, "opts": told}
            worker.call(request, lambda script, pid, fds: self._notified(container, script, pid, fds))
        finally:
            code = worker.close()
        if code or container.pidfd < 0:
            raise service.CriuFailure(f"it ended with exit code {code} and no process")
        if container.unit is not None:
            container.unit.settle()

    def _prepare(self, entry: Entry, stage: Stage, inherited: list[tuple[int, str]]) -> list[int]:
        """In the worker."""
        entry.enter()
        process.unshare(CLONE_NEWNS)
        mount.mount_setattr(mount.AT_FDCWD, "/", mount.AT_RECURSIVE, propagation=mount.MS_PRIVATE)
        directories = [service.open_directory(path) for path in (self._images, self._work)]
        stage.lay_out()
        return [*directories, *(fd for fd, _key in inherited), *(self._launch.stdio or ())]

    def _inherited(self, sources: Sources) -> list[tuple[int, str]]:
        found = [(fd, _INHERITED[flag]) for fd, flag in sources.spaces if flag in _INHERITED]
        if sources.pid_namespace >= 0:
            found.append((sources.pid_namespace, "extRootPidNS"))
        return found

    def _options(
        self, stage: Stage, inherited: list[tuple[int, str]], descriptors: list[str]
    ) -> dict[str, Any]:
        first = service.FIRST_FILE + 2
        begin = 0 if self._launch.stdio is None else first + len(inherited)
        streams = [
            {"key": name, "fd": number}
            for number, name in enumerate(descriptors, begin)
            if name.startswith("pipe:")
        ]
        spaces = [{"key": key, "fd": number} for number, (_fd, key) in enumerate(inherited, first)]
        kinds = {flag: kind for kind, flag in NAMESPACES.items()}
        joins = [
            {"ns": kinds[flag], "ns_file": path} for path, flag in self._plan.joins if flag not in _INHERITED
        ]
        return {
            **self._told,
            "images_dir_fd": service.FIRST_FILE,
            "work_dir_fd": service.FIRST_FILE + 1,
            "log_file": "restore.log",
            "evasive_devices": True,
            "rst_sibling": True,
            "root": self._plan.root_path,
            "ext_mnt": stage.names,
            "inherit_fd": streams + spaces,
            "join_ns": joins,
        }

    def _notified(self, container: parent.Container, script: str, pid: int, fds: list[int]) -> None:
        if script == "setup-namespaces":
            if self._plan.new_network or self._plan.network is not None:
                try:
                    self._configure_network(pid)
                except OSError as error:
                    reason = describe(error)
                    raise LaunchError(f"error configuring the container's network: {reason}") from None
            container.pid = pid
            container.in_namespaces()
        elif script == "orphan-pts-master" and fds:
            container.console = os.dup(fds[0])
        elif script == "post-restore":
            container.pid, container.pidfd = pid, process.pidfd_open(pid)
            container.start_time = process.start_time(pid)
            if self._plan.readonly_rootfs:
                _inside(pid, "mnt", CLONE_NEWNS, _make_readonly)
            self._there(container)

    def _configure_network(self, pid: int) -> None:
        """What a start does to a new network namespace; the images say nothing of it."""
        network = self._plan.network
        if network is not None:
            network.make(pid)

        def configure() -> None:
            if self._plan.new_network:
                raise_loopback()
            if network is not None:
                network.configure()

        _inside(pid, "net", CLONE_NEWNET, configure)


def _inside(pid: int, name: str, kind: int, work: Callable[[], None]) -> None:
    """Do something in a namespace of a process that does not run yet; raises OSError."""
    namespace = os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC)
    reader, writer = os.pipe2(os.O_CLOEXEC)
    try:

        def inside() -> None:
            try:
                process.setns(namespace, kind)
                work()
            except OSError as error:
                os.write(writer, str(error.errno).encode())
                return
            os._exit(0)

        _pid, pidfd = process.fork_into(inside)
        os.close(writer)
        writer = -1
        number = os.read(reader, 16)
        code = wait_pidfd(pidfd)
        os.close(pidfd)
        if code:
            raise OSError(int(number or 5), os.strerror(int(number or 5)))
    finally:
        close_all((namespace, reader, writer))


def _make_readonly() -> None:
    """The root, which CRIU mounts as it finds it."""
    mount.mount_setattr(mount.AT_FDCWD, "/", set_=mount.ATTR_RDONLY)


def _groups_of(pid: int) -> list[dict[str, str]]:
    """Where a process is in each hierarchy, for CRIU to begin from instead of where the images say."""
    found = []
    for line in read_file(f"/proc/{pid}/cgroup").decode("utf-8", "surrogateescape").splitlines():
        _number, controllers, path = line.split(":", 2)
        found += [{"ctrl": name, "path": path} for name in controllers.split(",")]
    return found


def read_descriptors(images: str) -> list[str]:
    """What the standard streams of the container in ``images`` were; raises WharfieError."""
    path = f"{images}/{words.DESCRIPTORS}"
    try:
        found = json.loads(read_file(path, _LIMIT))
    except OSError as error:
        raise InvalidArgument(f"open {describe(error)}") from None
    except ValueError as error:
        raise InvalidArgument(f"{path} cannot be read: {error}") from None
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise InvalidArgument(f"{path} is not a list of names")
    return found[:3]
