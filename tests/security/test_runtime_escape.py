"""Images and mounts that try to lead the runtime out of the container's root (SECURITY 1, 2 and 10)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kernel.runtime.conftest import Box, box, make_spec
from wharfie.runtime.launch import LaunchError

__all__ = ["box"]
SOURCE = str(Path(__file__).resolve().parents[2] / "src")


def test_the_process_inherits_no_descriptor(box: Box) -> None:
    secret = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    os.set_inheritable(secret, True)
    try:
        done = box.run("for fd in /proc/$$/fd/*; do echo $(readlink $fd); done")
    finally:
        os.close(secret)
    # the shell itself has the directory of descriptors open while it lists it
    assert next(line for line in done.output.splitlines() if line and "/proc/" not in line) == "/dev/null"
    assert "/" not in done.output.splitlines()


@pytest.mark.parametrize("number", range(3, 24, 4))
def test_a_working_directory_through_a_descriptor_leads_nowhere(box: Box, number: int) -> None:
    with pytest.raises(LaunchError):
        box.start(make_spec(["true"], process={"cwd": f"/proc/self/fd/{number}"}))


def test_a_link_as_working_directory_stays_inside(box: Box, tmp_path: Path) -> None:
    (box.root / "out").symlink_to(f"../../../../../..{tmp_path}")
    with pytest.raises(LaunchError, match="not a directory"):
        box.start(make_spec(["true"], process={"cwd": "/out"}))
    (box.root / str(tmp_path)[1:] / "inside").mkdir(parents=True)
    assert box.run("ls", process={"cwd": "/out"}).output == "inside\n"


# a change of the mode needs what a write needs of the mount, and is not refused as "text file busy" first
ATTACK = """
import os
os.chmod("/proc/self/exe", os.stat("/proc/self/exe").st_mode)
"""


def test_nobody_can_write_the_interpreter_that_containers_see() -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from wharfie.runtime import interpreter\n"
        "interpreter._BOOT = sys.argv[2]\n"
        "interpreter.ensure_read_only([])\n"
    )
    command = [sys.executable, "-I", "-S", "-c", script, SOURCE, ATTACK]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "Read-only file system" in done.stderr


@pytest.mark.parametrize("name", ["proc", "sys"])
def test_a_link_in_place_of_a_kernel_file_system_is_refused(box: Box, name: str) -> None:
    (box.root / name).symlink_to("/tmp")
    with pytest.raises(LaunchError, match=name):
        box.start(make_spec(["true"]))


def test_a_mount_target_that_is_a_link_is_resolved_inside(box: Box, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (box.root / "link").symlink_to(str(victim))
    (box.root / str(victim)[1:]).mkdir(parents=True)
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").touch()
    mount = {"destination": "/link", "type": "bind", "source": str(source), "options": ["rbind"]}
    done = box.run("ls /link", mounts=[mount])
    assert done.output == "file\n"
    assert list(victim.iterdir()) == []


def test_a_missing_mount_target_is_not_made_outside(box: Box, tmp_path: Path) -> None:
    (box.root / "link").symlink_to(f"/../../../..{tmp_path}/made")
    mount = {"destination": "/link/below", "type": "bind", "source": "/etc", "options": ["rbind"]}
    with pytest.raises(LaunchError):
        box.start(make_spec(["true"], mounts=[mount]))
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("target", ["/proc/self/attr", "/proc/sys/kernel", "/proc/1"])
def test_nothing_is_bound_inside_proc(box: Box, target: str) -> None:
    mount = {"destination": target, "type": "bind", "source": "/etc", "options": ["rbind"]}
    with pytest.raises(LaunchError, match=r"inside /proc|no such file"):
        box.start(make_spec(["true"], mounts=[mount]))


def without_dev() -> list[dict[str, object]]:
    """The default mounts but those of /dev, so that the image's own is used."""
    spec = make_spec(["true"])
    return [item for item in spec["mounts"] if not item["destination"].startswith("/dev")]


def test_a_null_device_that_is_a_link_masks_nothing_and_is_refused(box: Box) -> None:
    (box.root / "dev").mkdir()
    (box.root / "dev/null").symlink_to("/proc/sys/kernel/core_pattern")
    spec = make_spec(["true"])
    spec["mounts"] = without_dev()
    with pytest.raises(LaunchError, match="/dev/null"):
        box.start(spec)


def test_a_console_that_is_a_link_is_not_mounted_on(box: Box, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (box.root / "dev").mkdir()
    (box.root / "dev/console").symlink_to(f"../../../../../..{victim}")
    spec = make_spec(["true"], process={"terminal": True})
    spec["mounts"] = [*without_dev(), spec["mounts"][2]]
    with pytest.raises(LaunchError):
        box.start(spec)
    assert victim.read_text() == "mine"


def test_a_multiplexer_that_is_a_file_of_the_image_gives_no_terminal(box: Box) -> None:
    (box.root / "dev/pts").mkdir(parents=True)
    (box.root / "dev/pts/ptmx").touch()
    spec = make_spec(["true"], process={"terminal": True})
    spec["mounts"] = without_dev()
    with pytest.raises(LaunchError, match="terminal"):
        box.start(spec)


def test_a_chmod_of_a_masked_path_does_not_reach_the_host(box: Box) -> None:
    before = os.stat("/dev/null").st_mode
    box.run("chmod 000 /proc/keys /proc/timer_list")
    assert os.stat("/dev/null").st_mode == before


def test_the_host_is_out_of_reach_by_every_root(box: Box, tmp_path: Path) -> None:
    (tmp_path / "marker").touch()
    done = box.run(f"ls {tmp_path} /proc/1/root{tmp_path} ../../../../..{tmp_path} 2>&1 | grep -c marker")
    assert done.output == "0\n"


def test_no_privilege_is_handed_on_that_was_not_given(box: Box) -> None:
    done = box.run(
        "grep -e CapInh -e CapAmb -e CapBnd /proc/self/status; mknod /tmp/sda b 8 0 && cat /tmp/sda"
    )
    fields = dict(line.split(":\t") for line in done.output.splitlines() if line.startswith("Cap"))
    assert fields == {
        "CapInh": "0000000000000000",
        "CapAmb": "0000000000000000",
        "CapBnd": "00000000a80425fb",
    }
