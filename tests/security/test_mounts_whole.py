"""Images and neighbours that lead mounts astray (CVE-2025-31133, CVE-2025-52565, CVE-2025-52881): SECURITY 2,
through the whole engine.
"""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from tests import ours
from tests.security import attacks
from tests.security.attacks import link, member

WRITABLE = "(: >> /proc/sys/kernel/core_pattern) 2>/dev/null"
"""Opens for writing, and writes nothing."""
TARGETS = ("/tmp", "../../../../../../tmp", "tmp", "/proc/self/root/tmp", "/proc/1/root", "/proc/self/cwd")


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """Something on the host that an attack could reach."""
    (tmp_path / "secret").write_text("original")
    return tmp_path


def host_devices() -> list[tuple[int, int, int, int]]:
    found = [
        os.stat(path) for path in ("/dev/null", "/dev/zero", "/dev/ptmx", "/proc/sys/kernel/core_pattern")
    ]
    return [(item.st_mode, item.st_rdev, item.st_uid, item.st_gid) for item in found]


def mounts_of_host(engine: ours.Engine) -> list[str]:
    """Where something is mounted, but for what other engines have mounted elsewhere below /tmp."""
    places = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [
        place
        for place in places
        if not place.startswith("/tmp/") or place.startswith(str(engine.state.parent))
    ]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", ["proc", "sys", "dev", "etc"])
def test_a_directory_of_ours_that_is_a_link(engine: ours.Engine, name: str, target: str) -> None:
    devices, mounts = host_devices(), mounts_of_host(engine)
    image = attacks.import_image(
        engine, "evil-dir", attacks.busybox_with(link(name, target), without=(name,))
    )
    # either it is refused, or everything is inside and masked all the same
    check = f"test -e /proc/self/stat && ! {WRITABLE}"
    check += " && ! cat /proc/keys /proc/timer_list | grep -q . && echo fine"
    done = engine.cli("run", "--rm", image, "sh", "-c", check)
    if done.returncode == 0:
        assert done.stdout == "fine\n"
        assert name not in ("proc", "sys")
    else:
        assert "unable to start container process" in done.stderr
        assert "died" not in done.stderr
    assert host_devices() == devices
    ours.until(lambda: set(mounts_of_host(engine)) <= set(mounts), "something stays mounted")


NODES = {
    "null-to-pattern": link("dev/null", "/proc/sys/kernel/core_pattern"),
    "null-to-host": link("dev/null", "../../../../../../dev/null"),
    "pts": link("dev/pts", "/proc/self/fd"),
    "shm": link("dev/shm", "/proc/sys"),
    "mqueue": link("dev/mqueue", "../../../../tmp"),
    "console": link("dev/console", "/proc/sys/kernel/core_pattern"),
    "ptmx": link("dev/ptmx", "../../../../../dev/ptmx"),
    "null-file": member("dev/null", content=b"not a device"),
}


@pytest.mark.parametrize("name", NODES)
@pytest.mark.parametrize("tty", [False, True])
def test_nodes_of_the_images_dev_are_hidden_by_ours(engine: ours.Engine, name: str, tty: bool) -> None:
    devices = host_devices()
    image = attacks.import_image(engine, "evil-node", attacks.busybox_with(NODES[name]))
    script = (
        "stat -c %t:%T /dev/null; cat /proc/keys | head -c 1; readlink /dev/pts; readlink /dev/shm; echo ok"
    )
    done = engine.cli("run", "--rm", *(["-t"] if tty else []), image, "sh", "-c", script)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["1:3", "ok"]
    assert host_devices() == devices


@pytest.mark.parametrize("name", ["null", "zero", "ptmx", "console", "pts"])
def test_nodes_of_a_dev_that_is_a_volume_are_refused_or_real(
    engine: ours.Engine, host: Path, name: str
) -> None:
    """With /dev as a volume the attacker's files are what the masks would be made of."""
    evil = host / "dev"
    (evil / "pts").mkdir(parents=True)
    if name == "pts":
        (evil / "pts").rmdir()
    (evil / name).symlink_to(host / "secret")
    done = engine.cli("run", "--rm", "-t", "-v", f"{evil}:/dev", "busybox", "true")
    assert done.returncode != 0
    assert (host / "secret").read_text() == "original"
    assert stat.S_IMODE((host / "secret").stat().st_mode) == 0o644


@pytest.mark.parametrize("name", ["etc/hosts", "etc/hostname", "etc/resolv.conf"])
@pytest.mark.parametrize("absolute", [True, False])
def test_files_of_ours_that_are_links_lead_nowhere(
    engine: ours.Engine, host: Path, name: str, absolute: bool
) -> None:
    target = f"{host}/secret" if absolute else f"../../../../../../..{host}/secret"
    image = attacks.import_image(engine, "evil-etc", attacks.busybox_with(link(name, target)))
    done = engine.cli("run", "--rm", image, "sh", "-c", f"echo evil >> /{name}; cat {host}/secret")
    assert (host / "secret").read_text() == "original"
    assert "original" not in done.stdout
    os_release = attacks.import_image(engine, "evil-etc", attacks.busybox_with(link(name, "/proc/self/exe")))
    assert engine.cli("run", "--rm", os_release, "true").returncode != 0


@pytest.mark.parametrize(
    "destination", ["/proc", "/proc/", "/proc/../proc", "/proc/self", "/proc/sys/kernel"]
)
def test_nothing_is_mounted_over_proc(engine: ours.Engine, host: Path, destination: str) -> None:
    for options in (["-v", f"{host}:{destination}"], ["--tmpfs", destination]):
        done = engine.cli("run", "--rm", *options, "busybox", "true")
        assert done.returncode == 125, (options, done)
        assert "cannot be mounted because" in done.stderr or "invalid" in done.stderr, done.stderr
    assert sorted(os.listdir(host)) == ["secret"]


@pytest.mark.parametrize("absolute", [True, False])
def test_a_destination_behind_a_link_of_the_image_stays_inside(
    engine: ours.Engine, host: Path, absolute: bool
) -> None:
    (host / "source").mkdir()
    (host / "victim").mkdir()
    target = f"{host}/victim" if absolute else f"../../../../../../../..{host}/victim"
    image = attacks.import_image(engine, "evil-volume", attacks.busybox_with(link("data", target)))
    for destination in ("/data", "/data/sub/deeper"):
        engine.cli("run", "--rm", "-v", f"{host}/source:{destination}", image, "touch", f"{destination}/made")
    assert os.listdir(host / "victim") == []


def test_a_neighbour_swaps_a_directory_while_a_mount_is_made_in_it(engine: ours.Engine, host: Path) -> None:
    """Two containers share a volume; one makes a directory and a link of the same name in turn, without end,
    while others start with a volume mounted in it.
    """
    shared, inner = host / "shared", host / "inner"
    (shared / "dir").mkdir(parents=True)
    inner.mkdir()
    (inner / "mark").touch()
    before = mounts_of_host(engine)
    swap = (
        f"cd /shared; while true; do ln -s ../../../../../../..{host}/victim evil; mv dir spare; mv evil dir;"
        " rm dir; mv spare dir; ln -s /proc/sys evil2; mv dir spare; mv evil2 dir; rm dir; mv spare dir; done"
    )
    victim = host / "victim"
    victim.mkdir()
    (victim / "key").write_text("original")
    started = engine.cli(
        "run", "-d", "--name", "swapper", "-v", f"{shared}:/shared", "busybox", "sh", "-c", swap
    )
    assert started.returncode == 0, started.stderr
    outcomes: list[str] = []

    def victims() -> None:
        for _ in range(20):
            done = engine.cli(
                "run", "--rm", "-v", f"{shared}:/shared", "-v", f"{inner}:/shared/dir/in",
                "busybox", "sh", "-c",
                f"{WRITABLE} && echo writable; cat /proc/keys /proc/timer_list | grep . ; echo end",
            )  # fmt: skip
            outcomes.append(done.stdout if done.returncode == 0 else "refused")

    try:
        threads = [threading.Thread(target=victims) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        engine.cli("rm", "-f", "swapper")
    assert set(outcomes) <= {"end\n", "refused"}, outcomes
    assert "end\n" in outcomes
    assert os.listdir(victim) == ["key"]
    assert (victim / "key").read_text() == "original"
    ours.until(lambda: set(mounts_of_host(engine)) <= set(before), "something stays mounted")


READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


def test_read_only_paths_are_so_and_masked_ones_say_nothing(engine: ours.Engine) -> None:
    script = (
        "for p in /proc/sys/kernel/hostname /proc/sys/vm/drop_caches /proc/sysrq-trigger"
        " /proc/irq/0/smp_affinity /proc/sys/kernel/core_pattern"
        " /sys/kernel/mm/ksm/run /sys/fs/cgroup/memory/memory.limit_in_bytes;"
        " do test -e $p || continue; (echo 1 > $p) 2>/dev/null && echo written $p; done;"
        " cat /proc/keys /proc/timer_list /proc/interrupts /proc/kcore 2>/dev/null | head -c 10;"
        "ls /proc/acpi /proc/scsi /proc/asound /sys/firmware"
        " /sys/devices/virtual/powercap 2>/dev/null | grep -v :;"
        " mount | grep -c '/proc/sys .*ro,'"
    )
    done = engine.cli("run", "--rm", "busybox", "sh", "-c", script)
    assert [line for line in done.stdout.split() if line] == ["1"], done.stdout
    pattern = Path("/proc/sys/kernel/core_pattern").read_text()
    # and no unmounting, remounting or rebinding brings them back
    again = engine.cli(
        "run", "--rm", "busybox", "sh", "-c",
        "umount /proc/sys; mount -o remount,rw /proc/sys; mount -t proc proc /tmp;"
        " (echo x > /proc/sys/kernel/core_pattern) 2>/dev/null && echo written; true",
    )  # fmt: skip
    assert again.stdout == ""
    assert Path("/proc/sys/kernel/core_pattern").read_text() == pattern
    rules = attacks.inspect(engine_container(engine), "rules", "{{json .HostConfig.ReadonlyPaths}}")
    assert all(path in rules for path in READ_ONLY)


def engine_container(engine: ours.Engine) -> ours.Engine:
    """The engine, with a container named "rules" in it."""
    engine.cli("rm", "-f", "rules")
    assert engine.cli("create", "--name", "rules", "busybox").returncode == 0
    return engine
