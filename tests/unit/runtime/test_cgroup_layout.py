"""Which hierarchies a machine has, from its mountinfo."""

from __future__ import annotations

import pytest

from wharfie.runtime.cgroups.errors import CgroupError
from wharfie.runtime.cgroups.files import clean_path
from wharfie.runtime.cgroups.layout import parse

UNIFIED = "26 23 0:28 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"
CPU = "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct"
MEMORY = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"
SYSTEMD = "40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd"
BESIDE = "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw"


def test_version_two_alone() -> None:
    found = parse(UNIFIED)
    assert (found.mode, found.unified, found.mounts) == ("v2", "/sys/fs/cgroup", [])


def test_version_one_with_controllers_mounted_together() -> None:
    found = parse("\n".join([CPU, MEMORY, SYSTEMD]))
    assert found.mode == "v1"
    assert found.controllers["cpu"] == found.controllers["cpuacct"] == "/sys/fs/cgroup/cpu,cpuacct"
    assert found.controllers["name=systemd"] == "/sys/fs/cgroup/systemd"
    assert len(found.mounts) == 3


def test_hybrid_keeps_its_limits_in_version_one() -> None:
    found = parse("\n".join([MEMORY, BESIDE]))
    assert (found.mode, found.unified) == ("hybrid", "/sys/fs/cgroup/unified")


def test_a_named_hierarchy_alone_makes_no_version_one() -> None:
    assert parse("\n".join([SYSTEMD, BESIDE])).mode == "v2"


def test_octal_escapes_in_paths() -> None:
    assert parse(MEMORY.replace("/memory ", "/my\\040memory ", 1)).mounts == ["/sys/fs/cgroup/my memory"]


def test_a_machine_without_control_groups() -> None:
    with pytest.raises(CgroupError, match="No control groups are mounted"):
        parse("22 1 8:1 / / rw - ext4 /dev/sda1 rw")


@pytest.mark.parametrize("path", ["", "/", "/a/../..", "..", "/a\n/b", "//."])
def test_paths_that_are_no_containers(path: str) -> None:
    with pytest.raises(CgroupError):
        clean_path(path)


@pytest.mark.parametrize("path", ["a/b", "/a/b", "//a//b/", "/a/./b"])
def test_paths_are_made_absolute(path: str) -> None:
    assert clean_path(path) == "/a/b"
