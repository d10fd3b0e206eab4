"""Hostile roots, images and annotations against restore: CRIU runs as root and takes much for granted."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ours
from tests.kernel.runtime.conftest import Box, box, leftovers
from tests.kernel.runtime.criu import Counting

__all__ = ["box"]


@pytest.fixture
def stopped(box: Box) -> Iterator[Counting]:
    """A container in images, with a tmpfs and a directory of the host; beside its root lies a secret."""
    made = Counting(box)
    for name in ("shared", "host"):
        (box.directory / name).mkdir()
    (box.directory / "host/secret").write_text("secret\n")
    made.write(mounts=mounts())
    made("run", "--detach", "c")
    made.tick()
    made("exec", "c", "sh", "-c", "echo kept >/deep/data/kept")
    made("checkpoint", "c")
    yield made
    made("delete", "--force", "c")


def mounts() -> list[dict[str, object]]:
    return [
        {"destination": "/deep/data", "type": "tmpfs", "source": "tmpfs", "options": ["size=1m"]},
        {"destination": "/deep/shared", "type": "bind", "source": "shared", "options": ["bind"]},
    ]


def host(counting: Counting) -> dict[str, str]:
    """All that lies beside the root, which nobody may touch."""
    top = counting.box.directory / "host"
    return {str(path): path.read_text() for path in top.iterdir()}


def test_a_place_that_became_a_link_leads_to_nothing_of_the_host(stopped: Counting) -> None:
    def mounted() -> set[str]:
        return set(Path("/proc/self/mountinfo").read_text().splitlines())

    before, mounts_before = host(stopped), mounted()
    outside = f"{stopped.box.directory}/host"
    went = {}
    for inside in (False, True):
        if inside:
            # the link leads somewhere in the root as well
            Path(f"{stopped.box.root}{outside}").mkdir(parents=True)
        for name in ("deep/data", "deep/shared", "deep", "dev", "proc"):
            for up in ("", "../../../../../../.."):
                place = stopped.box.root / name
                place.rename(stopped.box.root / "aside")
                place.symlink_to(f"{up}{outside}")
                said = stopped.says("restore", "--detach", "c")
                went[inside, name, up] = said
                if not said:
                    script = "cat /deep/*/secret /deep/secret /dev/secret; ls /deep/*"
                    assert "secret" not in stopped.told("exec", "c", "sh", "-c", script)
                    stopped("delete", "--force", "c")
                assert host(stopped) == before
                ours.until(lambda: mounted() <= mounts_before, "something stays mounted")
                assert leftovers(stopped.box.id) == []
                place.unlink()
                (stopped.box.root / "aside").rename(place)
    # what is nowhere in the root cannot be mounted on
    assert all(said for (inside, _name, _up), said in went.items() if not inside), went
    stopped("restore", "--detach", "c")
    stopped.tick()
    assert stopped.told("exec", "c", "cat", "/deep/data/kept") == "kept\n"


def test_an_annotation_gives_criu_no_program_to_run(stopped: Counting) -> None:
    top = stopped.box.directory / "host"
    script = top / "script"
    script.write_text(f"#!/bin/sh\ntouch {top}/ran\n")
    script.chmod(0o755)
    (top / "criu.conf").write_text(f"action-script {script}\n")
    stopped.write(mounts=mounts(), annotations={"org.criu.config": str(top / "criu.conf")})
    before = host(stopped)
    stopped("restore", "--detach", "c")
    stopped("checkpoint", "--leave-running", "c")
    assert host(stopped) == before


def test_names_in_the_images_give_no_descriptor_of_the_host(stopped: Counting) -> None:
    secret = os.open(stopped.box.directory / "host/secret", os.O_RDONLY)
    os.set_inheritable(secret, True)
    names = [str(stopped.box.directory / "host/secret"), "extRootNetNS", "pipe:[1]", "/", "pipe:[2]"]
    (stopped.box.directory / "checkpoint/descriptors.json").write_text(json.dumps(names))
    try:
        stopped("restore", "--detach", "c", pass_fds=(secret,))
    finally:
        os.close(secret)
    stopped.tick()
    pid = json.loads(stopped.told("state", "c"))["pid"]
    # the shell keeps its FIFO, and the place that it moved it to when it read from it
    held = {"/dev/null", "/tmp/go"}
    ours.until(lambda: ours.descriptors(pid) == held, "it has what it should not, or lacks something")
