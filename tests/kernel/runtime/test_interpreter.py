"""The kept read-only mount of the interpreter (CVE-2019-5736)."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wharfie.linux import mount
from wharfie.linux.process import CLONE_NEWNS, fork_into, unshare, wait_pidfd
from wharfie.runtime.interpreter import is_read_only, keep


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Path]:
    """A program of the host that somebody would like to change."""
    made = tmp_path / "program"
    shutil.copy(shutil.which("busybox") or "", made)
    yield made
    for line in kept_mounts(tmp_path):
        mount.umount2(line.split()[4], mount.MNT_DETACH)


def kept_mounts(directory: Path) -> list[str]:
    return [
        line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f"{directory}/kept" in line
    ]


def test_it_is_made_once_and_says_where_the_library_is(program: Path, tmp_path: Path) -> None:
    kept = keep(str(program), str(tmp_path / "kept"))
    assert keep(str(program), str(tmp_path / "kept")) == kept
    assert len(kept_mounts(tmp_path)) == 1
    assert is_read_only(kept)
    assert not is_read_only(str(program))
    assert os.path.samefile(kept, program)
    assert Path(kept).parents[1].joinpath("pyvenv.cfg").read_text() == f"home = {tmp_path}\n"


def test_a_replaced_interpreter_gets_another_and_the_old_one_goes(program: Path, tmp_path: Path) -> None:
    first = keep(str(program), str(tmp_path / "kept"))
    shutil.copy(program, tmp_path / "new")
    os.rename(tmp_path / "new", program)
    second = keep(str(program), str(tmp_path / "kept"))
    assert first != second
    assert not os.path.exists(first)
    assert len(kept_mounts(tmp_path)) == 1


def test_a_directory_that_others_may_write_is_not_used(program: Path, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir(mode=0o755)
    (tmp_path / "kept").chmod(0o777)
    with pytest.raises(PermissionError, match="not ours alone"):
        keep(str(program), str(tmp_path / "kept"))


def attempts(path: str, elsewhere: str) -> dict[str, Callable[[], object]]:
    """What somebody with every privilege and a mount namespace of his own can try through /proc/PID/exe."""
    return {
        "write": lambda: os.open(path, os.O_WRONLY),
        "truncate": lambda: os.truncate(path, 0),
        "chmod": lambda: os.chmod(path, 0o777),
        "remount": lambda: mount.mount(None, path, None, mount.MS_REMOUNT | mount.MS_BIND),
        "attributes": lambda: mount.mount_setattr(mount.AT_FDCWD, path, 0, clear=mount.ATTR_RDONLY),
        "bind": lambda: mount.mount(path, elsewhere, None, mount.MS_BIND),
        "clone": lambda: mount.open_tree(mount.AT_FDCWD, path, mount.OPEN_TREE_CLONE),
    }


@pytest.mark.parametrize("name", list(attempts("", "")))
def test_who_has_another_mount_namespace_cannot_write_it(program: Path, tmp_path: Path, name: str) -> None:
    kept = keep(str(program), str(tmp_path / "kept"))
    (tmp_path / "elsewhere").touch()
    with subprocess.Popen([kept, "sleep", "1000"]) as running:
        attempt = attempts(f"/proc/{running.pid}/exe", str(tmp_path / "elsewhere"))[name]

        def attacker() -> None:
            unshare(CLONE_NEWNS)
            mount.mount_setattr(mount.AT_FDCWD, "/", mount.AT_RECURSIVE, propagation=mount.MS_PRIVATE)
            try:
                attempt()
            except OSError:
                os._exit(7)
            os._exit(0)

        _, pidfd = fork_into(attacker)
        assert wait_pidfd(pidfd) == 7, f"{name} was possible"
        os.close(pidfd)
        running.kill()
    assert program.read_bytes() == Path(shutil.which("busybox") or "").read_bytes()
