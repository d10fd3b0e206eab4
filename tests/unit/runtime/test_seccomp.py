"""Profiles in Docker's format, and the cache of compiled ones."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from wharfie.errors import InvalidArgument, NotSupported
from wharfie.runtime import seccomp, seccomp_cache
from wharfie.runtime.seccomp_compile import compile_program

X86 = ("amd64", (6, 1))
SMALL: dict[str, Any] = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13}],
}


def names(profile: dict[str, Any]) -> set[str]:
    return {
        name for rule in profile["syscalls"] for name in rule["names"] if rule["action"] == "SCMP_ACT_ALLOW"
    }


def test_the_default_follows_capabilities() -> None:
    plain = names(seccomp.docker_profile([], *X86))
    admin = names(seccomp.docker_profile(["CAP_SYS_ADMIN"], *X86))
    assert "mount" not in plain
    assert "mount" in admin
    assert "clone" in plain
    assert "chroot" in names(seccomp.docker_profile(["CAP_SYS_CHROOT"], *X86)) - plain


def test_the_default_follows_architecture_and_kernel() -> None:
    x86, arm = seccomp.docker_profile([], "x86_64", (6, 1)), seccomp.docker_profile([], "aarch64", (6, 1))
    assert x86["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]
    assert arm["architectures"] == ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]
    assert "arch_prctl" in names(x86) - names(arm)
    assert "ptrace" in names(x86)
    assert "ptrace" not in names(seccomp.docker_profile([], "x86_64", (4, 7)))


@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b"[]",
        b"{}",
        b'{"defaultAction": "SCMP_ACT_PLEASE"}',
        b'{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"]}]}',
        b'{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": 3}',
        b'{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_PDP11"]}',
        b'{"defaultAction": "SCMP_ACT_ALLOW", "archMap": [{}], "architectures": ["SCMP_ARCH_X86"]}',
    ],
)
def test_profiles_that_make_no_sense(text: bytes) -> None:
    with pytest.raises(InvalidArgument):
        seccomp.custom_profile(text, [], *X86)


NOTIFYING = {**SMALL, "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]}


def test_a_daemons_profile_may_not_notify() -> None:
    with pytest.raises(NotSupported, match="SCMP_ACT_NOTIFY"):
        seccomp.custom_profile(json.dumps(NOTIFYING).encode(), [], *X86)


def test_what_a_filter_may_not_ask_about_is_refused() -> None:
    assert compile_program(NOTIFYING)
    with pytest.raises(InvalidArgument, match="defaultAction"):
        compile_program({"defaultAction": "SCMP_ACT_NOTIFY"})
    with pytest.raises(InvalidArgument, match="write system call"):
        compile_program({**SMALL, "syscalls": [{"names": ["write"], "action": "SCMP_ACT_NOTIFY"}]})


def test_a_custom_profile_in_both_forms() -> None:
    old = {**SMALL, "syscalls": [{"name": "mkdir", "action": "SCMP_ACT_ERRNO", "errnoRet": 13}]}
    assert seccomp.custom_profile(json.dumps(old).encode(), [], *X86) == SMALL


def test_a_program_is_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = str(tmp_path / "seccomp")
    program = seccomp_cache.ProgramCache(directory).program(SMALL)
    assert program
    assert len(program) % 8 == 0

    def refuse(_profile: object) -> bytes:
        raise AssertionError("compiled again")

    monkeypatch.setattr(seccomp_cache, "_compile", refuse)
    again = seccomp_cache.ProgramCache(directory)
    assert again.program(SMALL) == program
    path = again.path(SMALL)
    assert Path(path).read_bytes() == program
    assert os.stat(path).st_mode & 0o777 == 0o600


@pytest.mark.parametrize("damage", ["bytes", "mode", "link", "short"])
def test_a_file_that_is_not_as_it_was_written_is_not_used(
    tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = str(tmp_path / "seccomp")
    program = seccomp_cache.ProgramCache(directory).program(SMALL)
    path = Path(seccomp_cache.ProgramCache(directory).path(SMALL))
    if damage == "bytes":
        path.write_bytes(bytes(len(program)))
    elif damage == "mode":
        path.chmod(0o666)
    elif damage == "short":
        path.write_bytes(program[:-8])
    else:
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
    compiled = []
    monkeypatch.setattr(seccomp_cache, "_compile", lambda profile: compiled.append(profile) or program)
    cache = seccomp_cache.ProgramCache(directory)
    assert cache.program(SMALL) == program
    assert compiled == [SMALL]
    assert not path.is_symlink()
    assert path.read_bytes() == program
    assert path.stat().st_mode & 0o777 == 0o600


def test_another_libseccomp_is_another_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = seccomp_cache.ProgramCache(str(tmp_path / "seccomp"))
    before = cache.path(SMALL)
    monkeypatch.setattr(seccomp_cache.seccomp_library, "library_identity", lambda: "libseccomp.so.2.9.9 1 2")
    assert cache.path(SMALL) != before


def test_what_another_compiler_made_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = seccomp_cache.ProgramCache(str(tmp_path / "seccomp"))
    with monkeypatch.context() as before:
        before.setattr(seccomp_cache, "_GENERATION", seccomp_cache._GENERATION - 1)
        before.setattr(seccomp_cache, "_compile", lambda _profile: b"an old one".ljust(16))
        assert cache.program(SMALL) == b"an old one".ljust(16)
    assert cache.program(SMALL) == compile_program(SMALL)


def test_it_loads_no_library_for_a_hit(tmp_path: Path) -> None:
    directory = str(tmp_path / "seccomp")
    seccomp_cache.ProgramCache(directory).program(SMALL)
    script = (
        "import sys; from wharfie.runtime import seccomp_cache\n"
        f"seccomp_cache.ProgramCache({directory!r}).program({SMALL!r})\n"
        "assert 'libseccomp' not in open('/proc/self/maps').read()\n"
        "assert not {'compile', 'shrink', 'graph'} & {name.rpartition('_')[2] for name in sys.modules}\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert os.spawnve(os.P_WAIT, sys.executable, [sys.executable, "-c", script], environment) == 0
