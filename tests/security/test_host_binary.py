"""Containers that reach for the program which started them (CVE-2019-5736), or for what it left open
(CVE-2024-21626): SECURITY 1, through the whole engine.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ours
from tests.security import attacks
from tests.security.attacks import link, member

INTERPRETER = Path(os.path.realpath(sys.executable))

# What an image does to the program that turns up in its place: it waits for somebody to run it, then writes.
# Opened for reading first, so that the write is tried after the program's end as well, when nothing is busy.
OVERWRITE = """
import json, os, sys, time
found = {}
def attempt(path):
    for name, flags in (("write", os.O_WRONLY), ("truncate", os.O_WRONLY | os.O_TRUNC)):
        try:
            os.close(os.open(path, flags))
            found[name] = "opened"
        except OSError as error:
            found.setdefault(name, error.strerror)
held = {}
deadline = time.monotonic() + 60
while not held and time.monotonic() < deadline:
    for pid in os.listdir("/proc"):
        if not pid.isdigit() or int(pid) == os.getpid():
            continue
        try:
            if not open(f"/proc/{pid}/cmdline", "rb").read().startswith(b"/proc/self/exe"):
                continue
            held[pid] = os.open(f"/proc/{pid}/exe", os.O_RDONLY)
            break
        except OSError:
            continue
for pid, fd in held.items():
    attempt(f"/proc/{pid}/exe")
    found["chmod"] = "changed"
    try:
        os.fchmod(fd, os.fstat(fd).st_mode)
    except OSError as error:
        found["chmod"] = error.strerror
    while os.path.exists(f"/proc/{pid}"):
        time.sleep(0.01)
    for _ in range(50):
        attempt(f"/proc/self/fd/{fd}")
print(json.dumps({"held": len(held), **found}))
"""


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def untouched_host() -> Iterator[None]:
    """The interpreter is the same afterwards."""
    before = INTERPRETER.stat()
    content = digest(INTERPRETER)
    yield
    after = INTERPRETER.stat()
    assert (before.st_ino, before.st_mode, before.st_mtime_ns) == (
        after.st_ino,
        after.st_mode,
        after.st_mtime_ns,
    )
    assert content == digest(INTERPRETER)


@pytest.mark.usefixtures("untouched_host")
@pytest.mark.parametrize("options", [(), ("--cap-add", "SYS_PTRACE"), ("--pid", "host")], ids=str)
def test_the_program_that_execs_us_cannot_be_overwritten(
    engine: ours.Engine, options: tuple[str, ...]
) -> None:
    image = attacks.python_image(engine)
    name = f"overwrite{abs(hash(options)) % 10_000}"
    started = engine.cli(
        "run", "-d", "--name", name, *attacks.HOST_PROGRAMS, *options, image,
        "python3", "-I", "-S", "-c", OVERWRITE,
    )  # fmt: skip
    assert started.returncode == 0, started.stderr
    try:
        # what runs here is the runtime's own interpreter, inside the container, until it has been met
        sleep = "import time; time.sleep(1)"
        while attacks.inspect(engine, name, "{{.State.Running}}") == "true":
            engine.cli("exec", name, "/proc/self/exe", "-I", "-S", "-c", sleep)
        assert engine.cli("wait", name).stdout == "0\n"
        log = engine.cli("logs", name)
        found = json.loads(log.stdout)
        assert found["held"] == 1, "the attack never met the runtime's program"
        assert found["chmod"] == "Read-only file system"
        assert {found["write"], found["truncate"]} <= {"Read-only file system", "Text file busy"}
    finally:
        engine.cli("rm", "-f", name)


@pytest.mark.usefixtures("untouched_host")
@pytest.mark.parametrize("program", ["script", "link", "chain"])
def test_an_image_whose_program_is_the_runtime_itself_gains_nothing(
    engine: ours.Engine, program: str
) -> None:
    victim = {
        "script": member("evil", content=b"#!/proc/self/exe\n"),
        "link": link("evil", "/proc/self/exe"),
        "chain": link("evil", "proc/thread-self/exe"),
    }[program]
    image = attacks.import_image(engine, f"evil-{program}", attacks.busybox_with(victim))
    done = engine.cli("run", "--rm", image, "/evil", "-c", "open('/proc/self/exe', 'r+b')")
    assert done.returncode != 0
    assert "opened" not in done.stdout


@pytest.mark.usefixtures("untouched_host")
def test_a_library_of_the_image_loaded_into_the_runtimes_program_writes_nothing(engine: ours.Engine) -> None:
    """The dynamic linker, LD_PRELOAD and PYTHONPATH of the image: its code in our program's file."""
    script = (
        "import json, os\n"
        "found = []\n"
        "for flags in (os.O_RDWR, os.O_WRONLY | os.O_TRUNC):\n"
        "    try:\n"
        "        os.close(os.open('/proc/self/exe', flags)); found.append('opened')\n"
        "    except OSError as error:\n"
        "        found.append(error.strerror)\n"
        "print(json.dumps([found, bool(os.statvfs('/proc/self/exe').f_flag & os.ST_RDONLY)]))\n"
    )
    image = attacks.python_image(engine)
    done = engine.cli(
        "run", "--rm", *attacks.HOST_PROGRAMS, "-e", "PYTHONHOME=/usr", "-e", "LD_PRELOAD=/evil.so",
        image, "/proc/self/exe", "-S", "-c", script,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    outcomes, read_only = json.loads(done.stdout)
    assert read_only
    assert set(outcomes) <= {"Read-only file system", "Text file busy"}


def test_spawner_and_monitors_run_from_a_read_only_mount(engine: ours.Engine) -> None:
    assert engine.cli("run", "-d", "--name", "mounted", "busybox", "sleep", "1000").returncode == 0
    try:
        child = int(attacks.inspect(engine, "mounted", "{{.State.Pid}}"))
        monitor = parent_of(child)
        for pid in (monitor, parent_of(monitor)):
            assert pid != engine.pid, "the daemon has forked a container itself"
            assert os.statvfs(f"/proc/{pid}/exe").f_flag & os.ST_RDONLY
            fd = os.open(f"/proc/{pid}/exe", os.O_RDONLY)
            try:
                with pytest.raises(OSError, match="Read-only file system"):
                    os.fchmod(fd, os.fstat(fd).st_mode)
            finally:
                os.close(fd)
    finally:
        engine.cli("rm", "-f", "mounted")


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.parametrize("options", [(), ("-t",), ("-i",), ("--init",)], ids=str)
def test_no_descriptor_is_handed_down(engine: ours.Engine, options: tuple[str, ...]) -> None:
    expected = {"0", "1", "2", "3"}  # 3: ls reads the directory
    ran = engine.cli("run", "--rm", *options, "busybox", "ls", "/proc/self/fd")
    assert set(ran.stdout.split()) == expected, ran
    assert engine.cli("run", "-d", "--name", "open", *options, "busybox", "sleep", "1000").returncode == 0
    try:
        words = [option for option in options if option != "--init"]
        listed = engine.cli("exec", *words, "open", "ls", "/proc/self/fd")
        assert set(listed.stdout.split()) == expected, listed
        # seen from inside, nothing that the first process has open leads out
        links = engine.cli("exec", "open", "sh", "-c", "for f in /proc/1/fd/*; do readlink $f; done")
        assert links.stdout.split(), links
        for target in links.stdout.split():
            assert target == "/dev/null" or target.startswith(("pipe:", "/dev/pts/", "anon_inode:")), target
    finally:
        engine.cli("rm", "-f", "open")


DIRECTORIES = ("/proc/self/fd/3", "/proc/self/fd/8", "/proc/1/fd/3", "/proc/self/cwd", "/proc/self/root",
               "/proc/thread-self/fd/5", "/proc/self/fd/../fd/7/../..", "/proc/1/root/..")  # fmt: skip


@pytest.mark.parametrize("directory", DIRECTORIES)
def test_a_descriptor_is_no_working_directory(engine: ours.Engine, directory: str) -> None:
    ran = engine.cli("run", "--rm", "-w", directory, "busybox", "sh", "-c", "ls .. ../.. ../../..")
    assert ran.returncode != 0
    assert "work" not in ran.stdout
    assert engine.cli("run", "-d", "--name", "cwd", "busybox", "sleep", "1000").returncode == 0
    try:
        done = engine.cli("exec", "-w", directory, "cwd", "ls")
        assert done.returncode in (126, 127), done
    finally:
        engine.cli("rm", "-f", "cwd")


@pytest.mark.parametrize("number", range(3, 16, 3))
def test_a_working_directory_of_an_image_is_no_descriptor_either(engine: ours.Engine, number: int) -> None:
    members = [link("cwd", f"/proc/self/fd/{number}")]
    image = attacks.import_image(engine, "evil-cwd", attacks.busybox_with(*members), "WORKDIR /cwd")
    ran = engine.cli("run", "--rm", image, "cat", "../../../../../etc/hostname")
    assert ran.returncode != 0
    assert ran.stdout == ""
    direct = attacks.import_image(
        engine, "evil-cwd", attacks.busybox_with(), f"WORKDIR /proc/self/fd/{number}"
    )
    assert engine.cli("run", "--rm", direct, "ls").returncode != 0


SPY = """
import json, os, sys, time
marker, own, found = sys.argv[1], set(os.listdir("/proc")), set()
open("/begun", "w").close()
while not os.path.exists("/stop"):
    for pid in os.listdir("/proc"):
        if pid in own or not pid.isdigit():
            continue
        for way in ("root", "cwd"):
            if os.path.exists(f"/proc/{pid}/{way}{marker}"):
                found.add(way)
        try:
            for fd in os.listdir(f"/proc/{pid}/fd"):
                found.add(os.readlink(f"/proc/{pid}/fd/{fd}").split(":")[0])
        except OSError:
            pass
print(json.dumps(sorted(found)))
"""


@pytest.mark.parametrize("options", [(), ("--cap-add", "SYS_PTRACE")], ids=str)
@pytest.mark.parametrize("terminal", [(), ("-t",)], ids=str)
def test_a_process_that_joins_brings_nothing_of_the_host(
    engine: ours.Engine, tmp_path: Path, options: tuple[str, ...], terminal: tuple[str, ...]
) -> None:
    """Who may trace sees a joining process's root and descriptors from its first moment (CVE-2016-9962)."""
    (tmp_path / "marker").touch()
    image = attacks.python_image(engine)
    started = engine.cli(
        "run", "-d", "--name", "spy", *attacks.HOST_PROGRAMS, *options, image,
        "python3", "-I", "-S", "-c", SPY, str(tmp_path / "marker"),
    )  # fmt: skip
    assert started.returncode == 0, started.stderr
    try:
        pid = attacks.inspect(engine, "spy", "{{.State.Pid}}")
        ours.until(Path(f"/proc/{pid}/root/begun").exists, "the spy does not begin")
        for _ in range(40):
            assert engine.cli("exec", *terminal, "spy", "true").returncode == 0
        engine.cli("exec", *terminal, "spy", "sleep", "1")  # whoever looks at all sees that
        engine.cli("exec", "spy", "touch", "/stop")
        assert engine.cli("wait", "spy").stdout == "0\n"
        found = json.loads(engine.cli("logs", "spy").stdout)
        assert found, "the spy saw nothing"
        assert "root" not in found
        assert "cwd" not in found
        fine = ("/usr/", "/dev/", "/etc/passwd", "/etc/ld.so.cache", "/stop", "pipe", "socket", "anon_inode")
        assert [name for name in found if name != "/" and not name.startswith(fine)] == []
    finally:
        engine.cli("rm", "-f", "spy")
