"""The conformance cases of control groups and devices on version 2; runs inside the virtual machine only.

A cold start of the runtime takes half a second there: one process has it loaded and forks for each command.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.runtime.case import Case
from tests.conformance.runtime.cases import cgroups, devices, mounts, process, rootless
from tests.conformance.runtime.forked import Forked, forked
from tests.conformance.runtime.harness import parent_group, play
from tests.conformance.runtime.rootless import USER, Rootless, own_bundle

ONLY_HERE = [case for case in (*mounts.CASES, *process.CASES) if case.layouts == {"v2"}]
CASES = [
    case for case in (*cgroups.CASES, *devices.CASES, *ONLY_HERE, *rootless.CASES) if "v2" in case.layouts
]


@pytest.fixture(scope="module")
def runtime() -> Iterator[Forked]:
    with parent_group(), forked() as found:
        yield found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_runtime_conforms_on_version_two(runtime: Forked, case: Case) -> None:
    # beside /bin, so that busybox is a link and no copy
    directory = Path(tempfile.mkdtemp(dir="/var/tmp"))
    directory.chmod(0o755)

    def as_user() -> Forked:
        own_bundle(directory)
        return runtime.of(USER)

    try:
        play(runtime, case, directory, as_user if isinstance(case, Rootless) else None)
    finally:
        shutil.rmtree(directory)
