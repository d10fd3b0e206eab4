"""Where a user's containers are remembered, why there is no user namespace, groups that are not there."""

from __future__ import annotations

import errno
import os
import posix
from pathlib import Path
from typing import Any

import pytest

from wharfie.runtime import interpreter, rootless, state
from wharfie.runtime.cgroups import rootless as groups
from wharfie.runtime.cgroups.errors import CgroupFailure, LimitUnsupported
from wharfie.runtime.cgroups.layout import Layout


@pytest.mark.parametrize(
    ("uid", "nested", "user", "own"),
    [(1000, False, "me", True), (0, False, "me", False), (0, True, "me", True), (0, True, "root", False)],
)
def test_records_are_below_the_users_runtime_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, uid: int, nested: bool, user: str, own: bool
) -> None:
    monkeypatch.setattr(posix, "geteuid", lambda: uid)
    monkeypatch.setattr(state, "in_user_namespace", lambda: nested)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("USER", user)
    found = state.default_root()
    assert (found == f"{tmp_path}/wharfie-runtime") is own
    if own:
        # sticky, lest it be cleared away
        assert os.stat(found).st_mode & 0o7777 == 0o1700
    else:
        assert found == "/run/wharfie-runtime"


@pytest.mark.parametrize(
    ("switches", "number", "expected"),
    [
        ({"max_user_namespaces": "0"}, errno.ENOSPC, "switched off: /proc/sys/user/max_user_namespaces is 0"),
        ({"unprivileged_userns_clone": "0"}, errno.EPERM, "unprivileged_userns_clone is 0"),
        ({"apparmor_restrict_unprivileged_userns": "1"}, errno.EACCES, "unprivileged_userns is 1"),
        ({}, errno.EPERM, "operation not permitted (in a chroot or by a seccomp filter)"),
        ({"max_user_namespaces": "90"}, errno.ENOSPC, "failed: no space left on device"),
    ],
)
def test_why_there_is_no_user_namespace(
    monkeypatch: pytest.MonkeyPatch, switches: dict[str, str], number: int, expected: str
) -> None:
    monkeypatch.setattr(
        rootless, "read_or", lambda path, default: switches.get(os.path.basename(path), default)
    )
    assert expected in rootless.without_namespace(OSError(number, os.strerror(number)))


@pytest.fixture
def hierarchies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Version 1 with a hierarchy for processes; the one for memory lets nobody in."""
    (tmp_path / "pids").mkdir()
    made = Layout("v1", "", {name: str(tmp_path / name) for name in ("pids", "memory")})
    monkeypatch.setattr(groups, "layout", lambda: made)
    return tmp_path


@pytest.mark.usefixtures("hierarchies")
@pytest.mark.parametrize(
    ("resources", "controller"),
    [
        ({"memory": {"limit": 1 << 20}}, "memory"),
        ({"pids": {"limit": 3}}, "pids"),
        ({"cpu": {"shares": 5}}, "cpu"),
    ],
)
def test_what_no_group_holds_cannot_be_limited(resources: dict[str, Any], controller: str) -> None:
    message = f"cannot set {controller} limit: container could not join or create cgroup"
    with pytest.raises(LimitUnsupported, match=message):
        groups.NoCgroup("/x", 0).set(resources)
    with pytest.raises(LimitUnsupported, match=message):
        groups.create("/x", resources)


def test_a_group_is_its_makers(hierarchies: Path) -> None:
    assert isinstance(groups.create("/x", {}), groups.NoCgroup)
    (hierarchies / "pids/y").mkdir()
    assert groups.find("/y", os.geteuid(), 0).paths() == {"pids": f"{hierarchies}/pids/y"}
    assert groups.find("/y", os.geteuid() + 1, 0).paths() == {}


def test_processes_without_a_group_are_those_of_a_pid_namespace_of_its_own() -> None:
    # one that has ended, and one in ours
    assert groups.NoCgroup("/x", 1 << 22).procs() == []
    with pytest.raises(CgroupFailure, match="neither a control group nor a pid namespace"):
        groups.NoCgroup("/x", os.getpid()).procs()
    with pytest.raises(CgroupFailure, match="cannot toggle freezer"):
        groups.NoCgroup("/x", 0).freeze()


def test_a_copy_in_memory_is_sealed(tmp_path: Path) -> None:
    (tmp_path / "program").write_bytes(b"x" * 100_000)
    copy = interpreter._sealed_copy(str(tmp_path / "program"))
    try:
        assert os.pread(copy, 200_000, 0) == b"x" * 100_000
        assert interpreter._is_sealed(f"/proc/self/fd/{copy}")
        assert not interpreter._is_sealed(str(tmp_path / "program"))
        with pytest.raises(PermissionError):
            os.pwrite(copy, b"y", 0)
        with pytest.raises(PermissionError):
            os.ftruncate(copy, 0)
    finally:
        os.close(copy)
