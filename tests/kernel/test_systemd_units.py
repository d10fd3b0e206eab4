"""The unit files that are shipped, under a real systemd: it is process 1 of namespaces of its own.

Its root is an overlay on this machine's, with a ``/run`` and ``/var/lib`` of its own, and it is given nothing
to do but our socket.
"""

from __future__ import annotations

import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ours
from tests.peers import busybox
from tests.peers.socketclient import Client

UNITS = ours.ROOT / "packaging" / "systemd"
# $1: a directory to mount on, $2: the tree, $3: the name of a control group
BOOT = r"""
set -e
base=$1 tree=$2 group=$3
mount --make-rprivate /
mount -t tmpfs tmpfs "$base"
mkdir "$base/group" "$base/upper" "$base/work" "$base/root"
mount -t cgroup2 cgroup2 "$base/group"
mkdir "$base/group/$group"
echo $$ >"$base/group/$group/cgroup.procs"
exec unshare --cgroup --pid --fork --kill-child --net --ipc --uts sh -c '
set -e
base=$1 tree=$2
root=$base/root
umount "$base/group"
mount -t overlay overlay -o "lowerdir=/,upperdir=$base/upper,workdir=$base/work" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty; do
    : >"$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
for place in run tmp var/lib; do mount -t tmpfs -o mode=755 tmpfs "$root/$place"; done
mkdir -p "$root$tree"
mount --rbind "$tree" "$root$tree"
: >"$root/etc/machine-id"
units=$root/etc/systemd/system
rm -rf "$units"
mkdir -p "$units/wharfie.service.d"
cp "$tree/packaging/systemd/wharfie.socket" "$units/"
sed "s,/usr/bin/wharfie,$tree/wharfie," "$tree/packaging/systemd/wharfie.service" >"$units/wharfie.service"
printf "[Service]\nRestartSec=10ms\n" >"$units/wharfie.service.d/trial.conf"
printf "[Unit]\nDefaultDependencies=no\nRequires=wharfie.socket\n" >"$units/trial.target"
systemd-sysusers --root="$root" "$tree/packaging/systemd/wharfie.sysusers"
cd "$root"
mkdir -p old
pivot_root . old
umount -l old
exec env -i container=trial PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --unit=trial.target
' sh "$base" "$tree"
"""
# $1: as above, $2: the group that nobody is in any more
LEAVE = r"""
mount --make-rprivate /
mount -t cgroup2 cgroup2 "$1"
find "$1/$2" -depth -type d -exec rmdir {} +
"""


class Machine:
    """What systemd looks after."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._log = log
        self.first = 0
        ours.until(lambda: self._find(process) or process.poll() is not None, "systemd does not start")
        assert process.poll() is None, log.read_text()
        self.root = Path(f"/proc/{self.first}/root")
        self.socket = self.root / "run" / "wharfie" / "wharfie.sock"

    def _find(self, process: subprocess.Popen[bytes]) -> bool:
        """Look for the one child that is in another pid namespace."""
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        for child in children:
            try:
                if os.readlink(f"/proc/{child}/ns/pid") != os.readlink("/proc/self/ns/pid"):
                    self.first = int(child)
            except FileNotFoundError:
                continue  # a command of the script, which has ended
        return self.first > 0

    def call(self, *words: str, stdin: bytes = b"") -> str:
        """A command on it; its output."""
        inside = ["nsenter", "-t", str(self.first), "--mount", "--pid", "--net", "--ipc", "--uts", "--cgroup"]
        done = subprocess.run([*inside, *words], input=stdin, capture_output=True, timeout=60)
        assert done.returncode == 0, (words, done.stderr.decode(), self._log.read_text())
        return done.stdout.decode().strip()

    def wharfie(self, *words: str, stdin: bytes = b"") -> str:
        return self.call(ours.WHARFIE, *words, stdin=stdin)

    def shown(self, unit: str, name: str) -> str:
        return self.call("systemctl", "show", "--value", "-p", name, unit)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    base, log = tmp_path_factory.mktemp("machine"), tmp_path_factory.mktemp("log") / "log"
    group = f"whsystemd{os.getpid()}"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", BOOT, "sh", str(base), str(ours.ROOT), group],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        made = Machine(process, log)
        ours.until(
            lambda: made.socket.is_socket() or process.poll() is not None, "systemd does not come so far"
        )
        assert process.poll() is None, log.read_text()
        # a process of its own gives the socket its group
        ours.until(lambda: made.shown("wharfie.socket", "ActiveState") == "active", "the socket is not ready")
        yield made
        os.kill(made.first, signal.SIGKILL)
    finally:
        process.kill()
        process.wait(30)
        leave = ["unshare", "--mount", "sh", "-c", LEAVE, "sh", str(base), group]
        ours.until(lambda: not subprocess.run(leave, capture_output=True).returncode, "the group stays")


def test_the_units_are_what_systemd_takes(tmp_path: Path) -> None:
    for name in ("wharfie.service", "wharfie.socket"):
        text = (UNITS / name).read_text().replace("/usr/bin/wharfie", ours.WHARFIE)
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / "wharfie.service"), str(tmp_path / "wharfie.socket")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    # what is wrong with the machine's own units is another's
    said = [line for line in done.stderr.splitlines() if "wharfie" in line]
    assert said == []


def test_it_starts_with_the_first_request_and_containers_outlive_it(machine: Machine) -> None:
    found = machine.socket.stat()
    group = next(
        line.split(":") for line in (machine.root / "etc/group").read_text().splitlines()
        if line.startswith("wharfie:")
    )  # fmt: skip
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o660, 0, int(group[2]))
    assert stat.S_IMODE(machine.socket.parent.stat().st_mode) == 0o711
    assert machine.shown("wharfie.service", "ActiveState") == "inactive"
    assert Client(str(machine.socket)).ask("GET", "/_ping") == (200, b"OK")
    ours.until(
        lambda: machine.shown("wharfie.service", "ActiveState") == "active", "it says not that it is ready"
    )
    machine.wharfie("import", "--change", "ENV PATH=/bin", "-", "busybox", stdin=busybox.tarball())
    machine.wharfie("run", "-d", "--network", "none", "--name", "steady", "busybox", "sleep", "1000")
    # reloaded, it is the same process
    first = machine.shown("wharfie.service", "MainPID")
    (machine.root / "etc/wharfie").mkdir(exist_ok=True)
    (machine.root / "etc/wharfie/daemon.json").write_text('{"labels": ["a=b"]}')
    machine.call("systemctl", "reload", "wharfie.service")
    ours.until(lambda: machine.wharfie("info", "-f", "{{.Labels}}") == "[a=b]", "it is not read again")
    assert machine.shown("wharfie.service", "MainPID") == first
    # killed, it comes again; stopped, with the next request; and the container has noticed nothing
    machine.call("kill", "-KILL", first)
    ours.until(
        lambda: machine.shown("wharfie.service", "MainPID") not in ("0", first), "it does not come again"
    )
    assert machine.wharfie("exec", "steady", "echo", "here") == "here"
    machine.call("systemctl", "stop", "wharfie.service")
    assert machine.shown("wharfie.service", "ActiveState") == "inactive"
    assert machine.wharfie("exec", "steady", "echo", "still") == "still"
    # and so it is where it was told to end by itself
    machine.wharfie("system", "stop")
    ours.until(lambda: machine.shown("wharfie.service", "ActiveState") == "inactive", "it is started again")
    assert machine.wharfie("ps", "--format", "{{.Names}}") == "steady"
    machine.wharfie("rm", "-f", "steady")
    assert machine.call("systemctl", "list-units", "--failed", "--no-legend", "wharfie.*") == ""
