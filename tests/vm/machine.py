"""A virtual machine for what this machine's kernel does not show: control groups version 2 and nothing else.

qemu emulates (hardware acceleration is not to be counted on), Debian's cloud kernel boots, and an initramfs
of our own holds this Python, pytest, busybox, our source and tests. It is two archives, one after the other:
the kernel takes a sequence of them. The first changes with the packages only and stays in the cache; the
second is made for each run. Inside, ``guest.py`` runs the tests and writes one line per result to the serial
console.
"""

from __future__ import annotations

import compileall
import gzip
import io
import json
import os
import platform
import shutil
import stat
import subprocess
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
CACHE = PROJECT / ".cache" / "vm"
# in the order in which they need each other
_DISK = ("virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci")
MODULES = (*_DISK, "virtio_blk", "overlay", "llc", "stp", "bridge", "veth")
PACKAGES = ("_pytest", "pytest", "pluggy", "iniconfig", "packaging", "pygments", "py.py")
MARK = "@@wharfie "
_GENERATION = "6"

INIT = """#!/bin/busybox sh
# pivot_root(2) cannot leave the initramfs itself, but it can leave a mount of it; and that has to be mounted
# on /, for nobody makes a user namespace in a chroot (clone(2))
/bin/busybox mkdir /machine
/bin/busybox mount --bind / /machine
cd /machine
/bin/busybox mount --move . /
exec /bin/busybox chroot . /bin/busybox sh /start
"""
START = """/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm /run /var/tmp
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t cgroup2 cgroup2 /sys/fs/cgroup
for module in %(modules)s; do insmod /modules/$module.ko; done
mount -t ext4 /dev/vda /tmp || echo no disk
ip link set lo up
export PATH=/bin HOME=/root PYTHONPATH=/project/src:/project:/site PYTHONDONTWRITEBYTECODE=1
cd /project
for file in %(tests)s; do %(python)s tests/vm/guest.py $file & done
wait
poweroff -f
"""


def tool(name: str, package: str) -> str:
    """The path of a program; its Debian package is installed when it is missing."""
    if shutil.which(name) is None:
        subprocess.run(["apt-get", "install", "-y", "-q", "--no-install-recommends", package], check=True)
    found = shutil.which(name)
    assert found, f"{package} has no {name}"
    return found


def _package(name: str) -> Path:
    """The unpacked content of a Debian package."""
    target = CACHE / "packages" / name
    if not target.is_dir():
        scratch = CACHE / "download"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        subprocess.run(
            ["apt-get", "download", "-q", name], cwd=scratch, check=True, stdout=subprocess.DEVNULL
        )
        (archive,) = scratch.glob("*.deb")
        target.parent.mkdir(exist_ok=True)
        subprocess.run(["dpkg", "-x", archive, f"{target}.new"], check=True)
        os.rename(f"{target}.new", target)
    return target


def _kernel_package() -> str:
    """The package that the architecture's cloud kernel package stands for now."""
    shown = subprocess.run(
        ["apt-cache", "depends", "linux-image-cloud-amd64"], capture_output=True, text=True, check=True
    )
    return next(
        line.split()[-1] for line in shown.stdout.splitlines() if "linux-image-" in line and "Depends" in line
    )


class Archive:
    """A cpio archive in the "newc" format (the kernel's Documentation/driver-api/early-userspace)."""

    def __init__(self) -> None:
        self._out = io.BytesIO()
        self._known: set[str] = set()
        self._inode = 0

    def _entry(self, name: str, mode: int, data: bytes, mtime: int = 0) -> None:
        self._inode += 1
        encoded = name.encode() + b"\0"
        numbers = (self._inode, mode, 0, 0, 1, mtime, len(data), 0, 0, 0, 0, len(encoded), 0)
        self._out.write(b"070701" + "".join(f"{number:08x}" for number in numbers).encode() + encoded)
        self._out.write(b"\0" * (-(110 + len(encoded)) % 4) + data + b"\0" * (-len(data) % 4))

    def directory(self, name: str) -> None:
        """A directory with all its parents."""
        parts = name.strip("/").split("/")
        for end in range(1, len(parts) + 1):
            path = "/".join(parts[:end])
            if path and path not in self._known:
                self._known.add(path)
                self._entry(path, stat.S_IFDIR | 0o755, b"")

    def data(self, name: str, content: bytes, mode: int = 0o644, mtime: int = 0) -> None:
        """A file."""
        name = name.strip("/")
        if name not in self._known:
            self.directory(os.path.dirname(name))
            self._known.add(name)
            self._entry(name, stat.S_IFREG | mode, content, mtime)

    def file(self, source: Path, name: str) -> None:
        """A file of the host, links followed."""
        status = source.stat()
        self.data(name, source.read_bytes(), status.st_mode & 0o777, int(status.st_mtime))

    def tree(self, source: Path, name: str, leave_out: Iterable[str] = ()) -> None:
        """A directory of the host."""
        skipped = set(leave_out)
        for root, directories, names in os.walk(source):
            directories[:] = [entry for entry in directories if entry not in skipped]
            place = f"{name}/{os.path.relpath(root, source)}".removesuffix("/.")
            self.directory(place)
            for entry in names:
                if (Path(root) / entry).is_file():
                    self.file(Path(root) / entry, f"{place}/{entry}")

    def device(self, name: str, major: int, minor: int) -> None:
        """A character device; the kernel opens /dev/console before anything is mounted."""
        self.directory(os.path.dirname(name))
        self._inode += 1
        encoded = name.strip("/").encode() + b"\0"
        numbers = (self._inode, stat.S_IFCHR | 0o600, 0, 0, 1, 0, 0, 0, 0, major, minor, len(encoded), 0)
        self._out.write(b"070701" + "".join(f"{number:08x}" for number in numbers).encode() + encoded)
        self._out.write(b"\0" * (-(110 + len(encoded)) % 4))

    def finish(self) -> bytes:
        """The whole archive."""
        self._entry("TRAILER!!!", 0, b"")
        return self._out.getvalue() + b"\0" * (-self._out.tell() % 512)


def _libraries(program: Path) -> Iterator[Path]:
    shown = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
    for line in shown.stdout.splitlines():
        for word in line.split():
            if word.startswith("/"):
                yield Path(word)
                break


def _python() -> Path:
    return Path(os.path.realpath(f"/usr/bin/python{platform.python_version().rpartition('.')[0]}"))


def _base(kernel: Path) -> Path:
    """The archive of what does not change: made once per kernel and Python."""
    target = CACHE / f"base-{_GENERATION}-{kernel.name}-{platform.python_version()}.cpio.gz"
    if target.exists():
        return target
    archive = Archive()
    archive.device("/dev/console", 5, 1)
    for name in ("proc", "sys", "tmp", "root", "run"):
        archive.directory(name)
    archive.file(_package("busybox-static") / "bin" / "busybox", "/bin/busybox")
    for name in MODULES:
        found = list(kernel.rglob(f"{name}.ko"))
        if found:
            archive.file(found[0], f"/modules/{name}.ko")
    python, library = _python(), Path(sysconfig.get_path("stdlib"))
    skipped = (
        "test",
        "idlelib",
        "tkinter",
        "lib2to3",
        "ensurepip",
        "turtledemo",
        "dist-packages",
        "pydoc_data",
    )
    archive.file(python, str(python))
    archive.tree(
        library, str(library), (*skipped, f"config-3.{platform.python_version_tuple()[1]}-x86_64-linux-gnu")
    )
    wanted = [
        python,
        *library.glob("lib-dynload/_*.so"),
        *Path("/usr/lib/x86_64-linux-gnu").glob("libseccomp.so.2"),
    ]
    for path in {found for program in wanted for found in _libraries(program)}:
        archive.file(path, str(path))
    archive.file(
        Path("/usr/lib/x86_64-linux-gnu/libseccomp.so.2"), "/usr/lib/x86_64-linux-gnu/libseccomp.so.2"
    )
    site = Path(sysconfig.get_path("purelib"))
    staged = CACHE / "site"
    shutil.rmtree(staged, ignore_errors=True)
    for name in PACKAGES:
        if name.endswith(".py"):
            shutil.copy2(site / name, staged / name)
        else:
            shutil.copytree(site / name, staged / name)
    compileall.compile_dir(staged, quiet=1)
    archive.tree(staged, "/site")
    packed = gzip.compress(archive.finish(), 1)
    # the next archive has to begin at a multiple of four
    target.with_suffix(".new").write_bytes(packed + b"\0" * (-len(packed) % 512))
    os.rename(target.with_suffix(".new"), target)
    return target


def _ours(tests: list[str]) -> bytes:
    archive = Archive()
    archive.tree(PROJECT / "src", "/project/src", ("__pycache__",))
    archive.tree(PROJECT / "tests", "/project/tests", ("__pycache__", "recordings"))
    archive.data("/init", INIT.encode(), 0o755)
    script = START % {"modules": " ".join(MODULES), "python": _python(), "tests": " ".join(tests)}
    archive.data("/start", script.encode(), 0o755)
    return archive.finish()


def run(tests: list[str], scratch: Path, limit: float = 400) -> tuple[dict[str, dict[str, str]], str]:
    """Boot, run these test files inside, each by a process of its own, power off.

    Results by test, "all FILE" being a file's own, and all that the console showed.
    """
    qemu = tool("qemu-system-x86_64", "qemu-system-x86")
    CACHE.mkdir(parents=True, exist_ok=True)
    kernel = _package(_kernel_package())
    initrd, disk = scratch / "initrd", scratch / "disk"
    initrd.write_bytes(_base(kernel).read_bytes() + _ours(tests))
    with disk.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run([tool("mkfs.ext4", "e2fsprogs"), "-q", "-F", disk], check=True)
    (image,) = (kernel / "boot").glob("vmlinuz-*")
    command = [
        *(qemu, "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1024", "-nodefaults"),
        *(
            "-display",
            "none",
            "-no-reboot",
            "-serial",
            "stdio",
            "-kernel",
            str(image),
            "-initrd",
            str(initrd),
        ),
        *("-drive", f"file={disk},format=raw,if=virtio,cache=writeback"),
        *("-append", "console=ttyS0 quiet panic=-1 mitigations=off random.trust_cpu=on"),
    ]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=limit, check=False)
    console = done.stdout.decode("utf-8", "replace") + done.stderr.decode("utf-8", "replace")
    results = {}
    for line in console.splitlines():
        if MARK in line:
            # what others wrote to the console at that moment may stand behind it
            result, _ = json.JSONDecoder().raw_decode(line.partition(MARK)[2])
            results[result["test"]] = result
    return results, console
