"""Plays a case as an ordinary user of its own making, or as the root of that user's namespace.

The user is in no database of the host: passwd, subuid and subgid are laid over the host's in a mount
namespace of each command.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conformance.runtime import runtimes
from tests.conformance.runtime.base import namespaces
from tests.conformance.runtime.case import Case
from tests.conformance.runtime.harness import Program

USER = 43210
FIRST, MANY = 400000, 65536
_AS_USER = (
    'mount -t overlay -o "lowerdir=$1/etc:/etc" overlay /etc || exit 125; run=$2; shift 2;'
    f" exec setpriv --reuid {USER} --regid {USER} --clear-groups"
    " env -i HOME=/ PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin XDG_RUNTIME_DIR=$run"
)
_WHO = {
    "user": f'{_AS_USER} "$@"',
    "poor": f'{_AS_USER} PATH=/nonexistent "$@"',
    "root": f'{_AS_USER} unshare --user --map-root-user "$@"',
    "switched": f"{_AS_USER} unshare --user --map-current-user --keep-caps sh -c"
    " 'echo 0 >/proc/sys/user/max_user_namespaces; exec setpriv --ambient-caps -all \"$@\"'"
    ' sh "$@"',
}
_PACKAGES = ("errors.py", "door.py", "__init__.py", "support", "linux", "spec", "runtime")


@dataclass(frozen=True)
class Rootless(Case):
    """A case that is not played as root."""

    who: str = "user"
    """"root" of a user namespace, a user whose PATH leads nowhere ("poor"), or one where user namespaces are
    "switched" off."""


def own(inside: int = 0) -> dict[str, int]:
    """The mapping that a user may write."""
    return {"containerID": inside, "hostID": USER, "size": 1}


def further(inside: int = 1, host: int = FIRST, size: int = MANY) -> dict[str, int]:
    """One that needs newuidmap."""
    return {"containerID": inside, "hostID": host, "size": size}


def mapped(*mappings: dict[str, int], **linux: Any) -> dict[str, Any]:
    """The configuration of a rootless container with these mappings."""
    kinds = namespaces("pid", "mount", "network", "uts", "ipc", "user")
    maps = {"uidMappings": list(mappings), "gidMappings": list(mappings)}
    return {"linux": {"cgroupsPath": None, "namespaces": kinds, **maps, **linux}}


@contextmanager
def stage() -> Iterator[Path]:
    """What is needed beside a bundle: databases that know the user, and our runtime where it may read it."""
    top = Path(tempfile.mkdtemp(prefix="rootless-"))
    try:
        top.chmod(0o755)
        etc = top / "etc"
        etc.mkdir()
        users = Path("/etc/passwd").read_text()
        (etc / "passwd").write_text(f"{users}boxer:x:{USER}:{USER}::/:/bin/sh\n")
        for name in ("subuid", "subgid"):
            (etc / name).write_text(f"boxer:{FIRST}:{MANY}\n")
        package = top / "src/wharfie"
        package.mkdir(parents=True)
        for name in _PACKAGES:
            source = Path(runtimes.SOURCE) / "wharfie" / name
            if source.is_dir():
                shutil.copytree(source, package / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, package / name)
        # what is compiled the user could not keep
        runtimes.ours(str(top / "src"))(["--version"], top)
        yield top
    finally:
        shutil.rmtree(top)


def as_user(top: Path, run: Path) -> list[str]:
    """The words before a command that the user runs; ``run`` is XDG_RUNTIME_DIR."""
    return ["sh", "-c", f'{_AS_USER} "$@"', "sh", str(top), str(run)]


def own_bundle(directory: Path) -> None:
    """Give a bundle to the user."""
    for path in (directory, *directory.rglob("*")):
        # not the programs, which may be the host's own by another name
        if path.is_dir() or path.name == "config.json":
            os.chown(path, USER, USER)


def played_by(runtime: Program, case: Rootless, directory: Path, top: Path) -> Program:
    """The runtime as the case's user starts it; the bundle becomes theirs."""
    run = directory / "run"
    run.mkdir()
    own_bundle(directory)
    argv = (
        runtimes.ours(str(top / "src")).argv
        if runtime.name == "wharfie-runtime"
        else (shutil.which(runtime.name) or "",)
    )
    script = _WHO[case.who]
    if runtime.name == "crun":
        script = f"umount /sys/fs/cgroup/unified 2>/dev/null; {script}"  # as in runtimes
    return Program(runtime.name, "unshare", "--mount", "sh", "-c", script, "sh", str(top), str(run), *argv)
