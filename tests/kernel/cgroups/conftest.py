"""Control groups of a test's own, gone when it ends."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from wharfie.runtime.cgroups.base import Cgroup
from wharfie.runtime.cgroups.layout import layout
from wharfie.runtime.cgroups.select import open_cgroup


@pytest.fixture
def cgroup() -> Iterator[Cgroup]:
    """A group that is not made yet, below a parent of this test's."""
    assert os.geteuid() == 0, "the kernel tests need root"
    parent = f"/wharfie-test-{os.getpid()}"
    group = open_cgroup(f"{parent}/one")
    yield group
    group.destroy()
    assert not group.exists()
    open_cgroup(parent).destroy()
    found = layout()
    left = [
        mount + parent for mount in [*found.mounts, found.unified] if mount and os.path.exists(mount + parent)
    ]
    assert left == []
