"""Every kind of volume by real containers, and nothing of any is left on the host."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ours

MEBIBYTE = 1 << 20


def mounts(engine: ours.Engine) -> list[str]:
    """What is mounted on the host for this engine."""
    state = str(engine.state)
    return [line for line in Path("/proc/self/mounts").read_text().splitlines() if state in line]


def run(engine: ours.Engine, *words: str) -> str:
    done = engine.cli("run", "--rm", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def volume(engine: ours.Engine, name: str, *options: str) -> str:
    done = engine.cli("volume", "create", *(word for option in options for word in ("-o", option)), name)
    assert done.returncode == 0, done.stderr
    return name


@pytest.fixture(autouse=True)
def _nothing_is_left(engine: ours.Engine) -> Iterator[None]:
    before = (mounts(engine), len(os.listdir(f"/proc/{engine.pid}/fd")))
    yield
    names = engine.cli("ps", "-aq").stdout.split()
    if names:
        engine.cli("rm", "-f", "-v", *names)
    volumes = engine.cli("volume", "ls", "-q").stdout.split()
    if volumes:
        assert engine.cli("volume", "rm", *volumes).returncode == 0
    ours.until(lambda: not engine.loops(), f"a loop device is left: {engine.loops()}")
    ours.until(lambda: set(mounts(engine)) <= set(before[0]), "a mount is left")
    ours.until(
        lambda: len(os.listdir(f"/proc/{engine.pid}/fd")) <= before[1] + 1, "the daemon keeps descriptors"
    )


def test_a_volume_with_a_size_is_full_when_it_is_full(engine: ours.Engine) -> None:
    volume(engine, "small", "size=10m")
    said = run(
        engine, "-v", "small:/x", "busybox", "sh", "-c",
        "ls -A /x; dd if=/dev/zero of=/x/f bs=64k count=400 2>&1; stat -c %s /x/f",
    )  # fmt: skip
    assert said.startswith("dd: error writing '/x/f': No space left on device")
    assert 0.95 * 10 * MEBIBYTE < int(said.split()[-1]) <= 10.3 * MEBIBYTE
    assert run(engine, "-v", "small:/y:ro", "busybox", "sh", "-c", "rm /y/f 2>&1 | cut -d: -f3") == (
        " Read-only file system\n"
    )
    form = "{{json .Options}}"
    assert engine.cli("volume", "inspect", "-f", form, "small").stdout == '{"size":"10m"}\n'
    used = re.search(r"small +0 +(\S+)", engine.cli("system", "df", "-v").stdout)
    assert used
    assert used[1].endswith("MB")


def test_what_is_freed_in_a_disk_is_given_back_to_the_host(engine: ours.Engine) -> None:
    volume(engine, "trimmed", "size=64m")
    file = engine.state / "data/volumes/trimmed/disk.ext4"
    run(engine, "-v", "trimmed:/x", "busybox", "sh", "-c", "dd if=/dev/urandom of=/x/f bs=1M count=32; sync")
    assert file.stat().st_blocks * 512 > 32 * MEBIBYTE
    run(engine, "-v", "trimmed:/x", "busybox", "sh", "-c", "rm /x/f; sync")
    ours.until(lambda: file.stat().st_blocks * 512 < 8 * MEBIBYTE, "the blocks stay with the file")


def test_containers_share_one_disk_at_the_same_time(engine: ours.Engine) -> None:
    volume(engine, "both", "size=8m")
    engine.cli("run", "-d", "--name", "one", "-v", "both:/x", "busybox", "sleep", "1000")
    run(engine, "-v", "both:/y", "busybox", "sh", "-c", "echo here > /y/f")
    assert engine.cli("exec", "one", "cat", "/x/f").stdout == "here\n"
    assert len(engine.loops()) == 1
    assert engine.cli("cp", "one:/x/f", "-").returncode == 0
    refused = engine.cli("volume", "rm", "both")
    assert refused.returncode == 1
    assert "volume is in use - [" in refused.stderr


def test_an_empty_disk_gets_the_image_s_content_with_owners_and_links(engine: ours.Engine) -> None:
    volume(engine, "filled", "size=20m")
    run(engine, "-v", "filled:/bin", "busybox", "true")
    assert int(run(engine, "-v", "filled:/y", "busybox", "stat", "-c", "%h", "/y/sh")) > 100
    volume(engine, "unfilled", "size=20m")
    assert run(engine, "-v", "unfilled:/etc/x:nocopy", "busybox", "ls", "-A", "/etc/x") == ""


def test_a_writable_layer_with_a_size(engine: ours.Engine, tmp_path: Path) -> None:
    script = "echo kept > /kept; dd if=/dev/zero of=/f bs=64k count=400 2>&1 | head -1; rm /f"
    done = engine.cli("run", "--name", "narrow", "--storage-opt", "size=10m", "busybox", "sh", "-c", script)
    assert done.stdout == "dd: error writing '/f': No space left on device\n"
    ours.until(lambda: not engine.loops(), "the disk stays mounted")
    assert (
        engine.cli("inspect", "-f", "{{json .HostConfig.StorageOpt}}", "narrow").stdout == '{"size":"10m"}\n'
    )
    assert engine.cli("diff", "narrow").stdout == "A /kept\n"
    assert engine.cli("cp", "narrow:/kept", str(tmp_path)).returncode == 0
    assert (tmp_path / "kept").read_text() == "kept\n"
    (tmp_path / "more").write_text("more\n")
    assert engine.cli("cp", str(tmp_path / "more"), "narrow:/more").returncode == 0
    assert "10B (virtual" in engine.cli("ps", "-as").stdout
    assert engine.cli("commit", "narrow", "from-narrow").returncode == 0
    assert run(engine, "from-narrow", "cat", "/kept", "/more") == "kept\nmore\n"
    assert engine.cli("export", "-o", str(tmp_path / "all.tar"), "narrow").returncode == 0
    with tarfile.open(tmp_path / "all.tar") as archive:
        assert {"kept", "more"} <= set(archive.getnames())
    engine.cli("rmi", "-f", "from-narrow")


def test_a_layer_with_a_size_runs_on_across_restarts_and_execs(engine: ours.Engine) -> None:
    options = ("--name", "again", "--storage-opt", "size=8m")
    engine.cli("run", "-d", *options, "busybox", "sh", "-c", "echo x >> /log; exec sleep 1000")
    ours.until(lambda: engine.cli("exec", "again", "test", "-e", "/log").returncode == 0, "it never wrote")
    assert engine.cli("restart", "-t", "0", "again").returncode == 0
    ours.until(lambda: engine.cli("exec", "again", "cat", "/log").stdout == "x\nx\n", "the layer was lost")
    assert engine.cli("exec", "again", "df", "-m", "/").stdout.split()[-5] in ("7", "8")


def test_a_layer_with_a_size_in_a_user_namespace(engine: ours.Engine) -> None:
    said = run(
        engine, "--userns", "private", "--storage-opt", "size=8m", "busybox", "sh", "-c",
        "touch /f; stat -c %u /f; dd if=/dev/zero of=/g bs=1M count=20 2>&1 | head -1",
    )  # fmt: skip
    assert said == "0\ndd: error writing '/g': No space left on device\n"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--storage-opt", "size=x"), "invalid size: 'x'"),
        (("--storage-opt", "size=1k"), "it must be between 1MB and 16TB"),
        (("--storage-opt", "colour=red"), "Unknown option colour"),
        (("--mount", "type=volume,source=vv,target=/x,volume-opt=size=x"), "create vv: invalid size: 'x'"),
    ],
)
def test_sizes_that_cannot_be_leave_nothing(engine: ours.Engine, words: tuple[str, ...], reason: str) -> None:
    done = engine.cli("run", "--name", "never", *words, "busybox", "true")
    assert done.returncode == 125
    assert reason in done.stderr
    ours.until(lambda: engine.cli("ps", "-aq").stdout == "", "a container is left")
    ours.until(lambda: engine.cli("volume", "ls", "-q").stdout == "", "a volume is left")


def test_a_tmpfs_volume_is_one_for_all_and_gone_with_the_last(engine: ours.Engine) -> None:
    volume(engine, "mem", "type=tmpfs", "device=tmpfs", "o=size=2m,mode=1770")
    engine.cli("run", "-d", "--name", "one", "-v", "mem:/x:ro", "busybox", "sleep", "1000")
    engine.cli("run", "-d", "--name", "two", "-v", "mem:/a/b", "busybox", "sleep", "1000")
    assert engine.cli("exec", "two", "sh", "-c", "echo shared > /a/b/f").returncode == 0
    assert engine.cli("exec", "one", "cat", "/x/f").stdout == "shared\n"
    assert engine.cli("exec", "one", "touch", "/x/g").returncode == 1
    engine.cli("rm", "-f", "one")
    assert run(engine, "--volumes-from", "two", "busybox", "stat", "-c", "%n %a", "/a/b", "/a/b/f") == (
        "/a/b 1770\n/a/b/f 644\n"
    )
    engine.cli("rm", "-f", "two")
    assert run(engine, "-v", "mem:/x", "busybox", "ls", "-A", "/x") == ""


def test_a_tmpfs_that_its_user_covered_is_not_mistaken(engine: ours.Engine) -> None:
    volume(engine, "mem", "type=tmpfs", "device=tmpfs")
    engine.cli("run", "-d", "--name", "one", "--privileged", "-v", "mem:/x", "busybox", "sleep", "1000")
    engine.cli("exec", "--privileged", "one", "sh", "-c", "mount -o bind /etc /x")
    done = engine.cli("run", "--rm", "-v", "mem:/y", "busybox", "true")
    assert done.returncode == 125
    assert "the container that uses it has something else at /x" in done.stderr


def test_a_file_system_on_a_device_is_mounted_while_it_is_used(engine: ours.Engine, tmp_path: Path) -> None:
    image = tmp_path / "fs"
    with image.open("wb") as file:
        file.truncate(8 * MEBIBYTE)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    device = subprocess.run(
        ["losetup", "-f", "--show", image], check=True, capture_output=True, text=True
    ).stdout.strip()
    try:
        volume(engine, "device", "type=ext4", f"device={device}", "o=noatime,nodev")
        run(engine, "-v", "device:/x", "busybox", "sh", "-c", "echo here > /x/f")
        said = run(engine, "-v", "device:/x:ro", "busybox", "sh", "-c", "cat /x/f; grep ' /x ' /proc/mounts")
        assert said.startswith(f"here\n{device} /x ext4 ro,nodev,noatime")
    finally:
        fd = os.open(device, os.O_RDONLY)
        fcntl.ioctl(fd, 0x4C01)
        os.close(fd)


def test_what_the_kernel_cannot_mount_is_refused_and_leaves_nothing(engine: ours.Engine) -> None:
    volume(engine, "server", "type=nosuchfs", "device=:/export", "o=addr=127.0.0.1,password=secret")
    done = engine.cli("run", "--rm", "-v", "server:/x", "busybox", "true")
    assert done.returncode == 125
    assert "mount :/export:" in done.stderr
    assert "data: addr=127.0.0.1,password=********: no such device" in done.stderr
    ours.until(lambda: engine.cli("ps", "-aq").stdout == "", "a container is left")


def test_an_image_is_mounted_read_only_and_kept(engine: ours.Engine, tmp_path: Path) -> None:
    engine.cli("import", str(_archive(tmp_path, {"dir/file": b"in the image"})), "files")
    mount = "type=image,source=files,target=/x"
    assert run(engine, "--mount", mount, "busybox", "cat", "/x/dir/file") == "in the image"
    assert run(engine, "--mount", f"{mount},image-subpath=dir", "busybox", "cat", "/x/file") == "in the image"
    refused = engine.cli("run", "--rm", "--mount", mount, "busybox", "touch", "/x/new")
    assert "Read-only file system" in refused.stderr
    engine.cli("run", "-d", "--name", "holds", "--mount", mount, "busybox", "sleep", "1000")
    refused = engine.cli("rmi", "files")
    assert refused.returncode == 1
    assert "container" in refused.stderr
    engine.cli("rmi", "-f", "files")
    assert engine.cli("restart", "-t", "0", "holds").returncode == 0
    assert engine.cli("exec", "holds", "cat", "/x/dir/file").stdout == "in the image"
    form = "{{range .Mounts}}{{.Type}} {{.Source}} {{.Destination}} {{.RW}}{{end}}"
    assert engine.cli("inspect", "-f", form, "holds").stdout == "image files /x false\n"
    before = engine.cli("images", "-q", "busybox").stdout
    missing = engine.cli("run", "--rm", "--mount", "type=image,source=nosuch,target=/x", "busybox", "true")
    assert missing.returncode == 125
    assert 'invalid mount config for type "image": No such image: nosuch:latest' in missing.stderr
    assert engine.cli("images", "-q", "busybox").stdout == before


def _archive(directory: Path, files: dict[str, bytes]) -> Path:
    path = directory / "archive.tar"
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            (directory / "content").write_bytes(content)
            archive.add(directory / "content", name)
    return path


@pytest.mark.parametrize("options", [(), ("size=16m",)])
def test_a_volume_is_backed_up_and_restored_as_it_was(
    engine: ours.Engine, tmp_path: Path, options: tuple[str, ...]
) -> None:
    volume(engine, "origin", *options)
    script = (
        "cd /x; mkdir -p d; echo one > d/f; ln d/f hard; ln -s d/f soft; mkfifo p; chown 5:6 d; chmod 2750 d;"
        "chmod 4755 d/f; chown 7:8 .; chmod 1777 ."
    )
    run(engine, "-v", "origin:/x", "busybox", "sh", "-c", script)
    assert engine.cli("volume", "export", "-o", str(tmp_path / "v.tar"), "origin").returncode == 0
    volume(engine, "copy", *options)
    assert engine.cli("volume", "import", "copy", str(tmp_path / "v.tar")).stdout == "copy\n"
    look = "cd /x; find . | sort | xargs stat -c '%n %a %u %g %h %Y %F'; cat hard; readlink soft"
    seen = [run(engine, "-v", f"{name}:/x", "busybox", "sh", "-c", look) for name in ("origin", "copy")]
    assert seen[0] == seen[1]
    assert "./hard 4755 0 0 2" in seen[0]
    piped = engine.cli("volume", "import", "new", stdin=(tmp_path / "v.tar").read_bytes())
    assert piped.stdout == "new\n"
    assert "one" in run(engine, "-v", "new:/x", "busybox", "cat", "/x/d/f")
    assert list(tmp_path.iterdir()) == [tmp_path / "v.tar"]


def test_what_is_no_archive_is_refused(engine: ours.Engine, tmp_path: Path) -> None:
    volume(engine, "target")
    done = engine.cli("volume", "import", "target", stdin=b"nonsense" * 1000)
    assert done.returncode == 1
    missing = engine.cli("volume", "export", "-o", str(tmp_path / "v.tar"), "nosuch")
    assert (missing.returncode, missing.stderr) == (
        1,
        "Error response from daemon: get nosuch: no such volume\n",
    )
    assert not (tmp_path / "v.tar").exists()
    volume(engine, "mem", "type=tmpfs", "device=tmpfs")
    lost = engine.cli("volume", "import", "mem", stdin=_archive(tmp_path, {"f": b""}).read_bytes())
    assert "it lives in memory: start a container that uses it first" in lost.stderr


def test_a_copy_reaches_volumes_of_every_kind_in_a_stopped_container(
    engine: ours.Engine, tmp_path: Path
) -> None:
    volume(engine, "disk", "size=8m")
    options = ("-v", "disk:/disk", "--mount", "type=image,source=busybox,target=/image")
    engine.cli("create", "--name", "stopped", *options, "busybox", "cat", "/disk/f")
    (tmp_path / "f").write_text("copied\n")
    assert engine.cli("cp", str(tmp_path / "f"), "stopped:/disk/f").returncode == 0
    assert engine.cli("cp", "stopped:/image/etc/passwd", str(tmp_path / "p")).returncode == 0
    assert engine.cli("start", "-a", "stopped").stdout == "copied\n"
    assert (tmp_path / "p").read_text().startswith("root:")
