"""What a container is started with: plain data, complete before anything is forked."""

from __future__ import annotations

from wharfie.errors import WharfieError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from wharfie.runtime.cgroups.systemd import Unit


class LaunchError(WharfieError):
    """A container or process could not be started; everything made for it is gone again.

    ``exit_code`` is Docker's: 127 the program was not found, 126 it cannot be run, 125 everything else.
    """

    def __init__(self, message: str, exit_code: int = 125) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Launch:
    """One container to create.

    ``spec`` is an OCI config.json (runtime-spec 1.2) and ``bundle`` the directory that its relative paths are
    resolved against. ``rootfs`` is None when ``spec["root"]["path"]`` is a directory already, otherwise our
    overlay, ``{"lower": [topmost, …], "upper": path, "work": path}``: it is mounted inside the container's
    own mount namespace alone. ``"volatile": True`` in it means that nothing that is written need survive:
    its end does not sync the disk then, and ``Container.mounts`` keeps it from the first process's end.
    ``cgroup`` is the path below each hierarchy's root (``linux.cgroupsPath`` if empty).
    ``interfaces`` are made when the network namespace is new::

        {"host": "vethab12", "name": "eth0", "bridge": "wharfie0", "mac": "02:…",
         "addresses": ["172.30.0.2/16", "fd00::2/64"], "gateway": "172.30.0.1", "gateway6": "fd00::1",
         "mtu": 1500, "isolated": false, "hairpin": false}

    (``parent`` and ``mode`` instead of ``host`` and ``bridge`` for a macvlan device; the first one's
    ``porter`` is the socket of who answers for names and the container's id, where it is to ask there).

    ``seccomp`` is the program that ``linux.seccomp`` was compiled to (``seccomp_cache.py``); without it it is
    compiled now.
    ``stdio`` are descriptors for 0, 1 and 2, used when ``process.terminal`` is false (None: the caller's
    own). ``init_path`` is a static reaper on the host; it becomes the container's /sbin/docker-init,
    read-only. ``preserve_fds`` is how many descriptors from 3 on the container's process keeps. ``gate`` is a
    descriptor that the created container waits to read a byte from, where its creator will not live to start
    it. ``trees`` are detached mounts that somebody opened already, by the destination of the bind that they
    are the source of; the one for "/" is the file system that upper and work of ``rootfs`` are names in.
    """

    __slots__ = (
        "bundle",
        "cgroup",
        "console_size",
        "gate",
        "id",
        "init_path",
        "interfaces",
        "keyring",
        "pivot",
        "preserve_fds",
        "rootfs",
        "seccomp",
        "sibling",
        "spec",
        "stdio",
        "trees",
        "unit",
        "unprivileged",
        "whatever_cgroup",
    )

    def __init__(
        self,
        id: str,
        spec: dict[str, Any],
        *,
        bundle: str = "",
        rootfs: dict[str, Any] | None = None,
        cgroup: str = "",
        interfaces: Sequence[dict[str, Any]] = (),
        seccomp: bytes | None = None,
        stdio: tuple[int, int, int] | None = None,
        init_path: str | None = None,
        console_size: tuple[int, int] | None = None,
        preserve_fds: int = 0,
        gate: int = -1,
        pivot: bool = True,
        keyring: bool = True,
        sibling: bool = False,
        unit: Unit | None = None,
        trees: dict[str, int] | None = None,
        unprivileged: bool = False,
        whatever_cgroup: bool = False,
    ) -> None:
        self.id = id
        self.spec = spec
        self.bundle = bundle
        self.rootfs = rootfs
        self.cgroup = cgroup
        self.interfaces = list(interfaces)
        self.seccomp = seccomp
        self.stdio = stdio
        self.init_path = init_path
        self.console_size = console_size
        """Height and width; overrides ``process.consoleSize``."""
        self.preserve_fds = preserve_fds
        self.gate = gate
        self.pivot = pivot
        self.keyring = keyring
        self.unit = unit
        """Where systemd makes the control group: what it is a scope of."""
        self.trees = trees or {}
        self.unprivileged = unprivileged
        """The creator is not the host's root: what it cannot open the container's process does (rootless)."""
        self.whatever_cgroup = whatever_cgroup
        """The container may have a control group in some hierarchies only, or none."""
        self.sibling = sibling
        """The container's first process becomes a child of the creator's parent, not of the creator."""
