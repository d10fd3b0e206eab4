"""Copies and imports through the whole engine: a container that swaps things under a copy's feet, programs of
the image that a copy might run, archives that reach out (SECURITY 3 and 4).
"""

from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
from pathlib import Path

import pytest

from tests import ours
from tests.security import attacks
from tests.security.attacks import archive, busybox_with, link, member

ROUNDS = 40


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_text("original")
    return tmp_path / "secret"


def untouched(secret: Path) -> bool:
    return os.listdir(secret) == ["key"] and (secret / "key").read_text() == "original"


def swapper(engine: ours.Engine, name: str, secret: Path) -> None:
    """A container that makes /data a directory and a link to the host's secret in turn."""
    script = (
        "mkdir /data; echo inside > /data/key; touch /begun; while true; do"
        f" ln -s {secret} /evil; mv /data /spare; mv /evil /data; rm /data; mv /spare /data; done"
    )
    done = engine.cli("run", "-d", "--name", name, "busybox", "sh", "-c", script)
    assert done.returncode == 0, done.stderr
    ours.until(lambda: not engine.cli("exec", name, "test", "-e", "/begun").returncode, "it does not begin")


def test_a_copy_in_never_leaves_the_container(engine: ours.Engine, secret: Path) -> None:
    swapper(engine, "copy-in", secret)
    evil = archive([member("key", content=b"evil"), member("new", content=b"evil")])
    nested = archive([member("data/key", content=b"evil"), member("data/new", content=b"evil")])
    outcomes = set()
    try:
        for _ in range(ROUNDS):
            outcomes.add(attacks.request(engine, "PUT", "/containers/copy-in/archive?path=/data", evil)[0])
            outcomes.add(attacks.request(engine, "PUT", "/containers/copy-in/archive?path=/", nested)[0])
    finally:
        engine.cli("rm", "-f", "copy-in")
    assert 200 in outcomes
    assert untouched(secret)


def test_a_copy_out_never_reads_outside(engine: ours.Engine, secret: Path) -> None:
    swapper(engine, "copy-out", secret)
    whole = 0
    try:
        for path in ("/data/key", "/data/.", "/data") * (ROUNDS // 2):
            status, content = attacks.request(engine, "GET", f"/containers/copy-out/archive?path={path}")
            assert b"original" not in content
            whole += status == 200 and b"inside" in content
    finally:
        engine.cli("rm", "-f", "copy-out")
    assert whole
    assert untouched(secret)


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize("path", ["/vol/link", "/vol/link/", "/vol/link/key", "/vol/up/key", "/link/key"])
def test_links_in_volumes_and_images_lead_nowhere(
    engine: ours.Engine, secret: Path, tmp_path: Path, path: str, running: bool
) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "link").symlink_to(secret)
    (volume / "up").symlink_to(f"../../../../../../../..{secret}")
    image = attacks.import_image(engine, "linked", busybox_with(link("link", str(secret))))
    engine.cli("create", "--name", "linked", "-v", f"{volume}:/vol", image, "sleep", "1000")
    try:
        if running:
            assert engine.cli("start", "linked").returncode == 0
        status, content = attacks.request(engine, "GET", f"/containers/linked/archive?path={path}")
        assert b"original" not in content
        evil = archive([member("key", content=b"evil")])
        attacks.request(engine, "PUT", f"/containers/linked/archive?path={path}", evil)
        assert untouched(secret)
        del status
    finally:
        engine.cli("rm", "-f", "linked")


def test_no_program_of_the_image_takes_part_in_a_copy(engine: ours.Engine) -> None:
    """CVE-2026-41567: the archive was unpacked by the container's own decompressor."""
    trap = b"#!/bin/sh\necho run >> /trapped\nexec /bin/cat\n"
    names = ("gzip", "gunzip", "unpigz", "xz", "unxz", "bzip2", "zstd", "tar")
    traps = [member(f"bin/{name}", content=trap) for name in names]
    image = attacks.import_image(engine, "trapped", busybox_with(*traps))
    assert engine.cli("run", "-d", "--name", "trapped", image, "sleep", "1000").returncode == 0
    try:
        data = gzip.compress(archive([member("file", content=b"content")]))
        status, answer = attacks.request(engine, "PUT", "/containers/trapped/archive?path=/tmp", data)
        assert status == 200, answer
        assert engine.cli("exec", "trapped", "cat", "/tmp/file").stdout == "content"
        attacks.request(engine, "GET", "/containers/trapped/archive?path=/bin")
        attacks.request(engine, "GET", "/containers/trapped/export")
        assert engine.cli("exec", "trapped", "test", "-e", "/trapped").returncode == 1
    finally:
        engine.cli("rm", "-f", "trapped")


def test_set_user_programs_and_devices_copied_out_are_data_only(engine: ours.Engine) -> None:
    image = attacks.import_image(engine, "setuid", busybox_with(member("evil", content=b"x", mode=0o6755)))
    engine.cli("create", "--name", "setuid", image, "true")
    try:
        _, content = attacks.request(engine, "GET", "/containers/setuid/archive?path=/evil")
        with tarfile.open(fileobj=io.BytesIO(content)) as made:
            assert made.getmember("evil").mode == 0o6755
    finally:
        engine.cli("rm", "-f", "setuid")


def evil_archives(secret: Path) -> dict[str, bytes]:
    up = "../" * 12 + str(secret)[1:]
    return {
        "dots": archive([member(f"{up}/key", content=b"evil")]),
        "absolute": archive([member(f"{secret}/key", content=b"evil")]),
        "link then file": archive([link("l", str(secret)), member("l/key", content=b"evil")]),
        "relative link then file": archive([link("l", up), member("l/key", content=b"evil")]),
        "hard link": archive(
            [member("h", tarfile.LNKTYPE, linkname=f"{secret}/key"), member("h", content=b"e")]
        ),
        "hard link by dots": archive([member("h", tarfile.LNKTYPE, linkname=f"{up}/key")]),
        "whiteout by dots": archive([member(f"{up}/.wh.key")]),
        "whiteout by link": archive([link("l", str(secret)), member("l/.wh.key")]),
        "opaque by link": archive([link("l", str(secret)), member("l/.wh..wh..opq")]),
        "mode of a link": archive([link("l", str(secret)), member("l", tarfile.DIRTYPE, mode=0o777, uid=7)]),
        "link in the way": archive([link("a", str(secret)), link("a/b", "x"), member("a/b", content=b"e")]),
    }


@pytest.mark.parametrize("name", evil_archives(Path("/x")))
def test_an_import_reaches_nothing_outside(engine: ours.Engine, secret: Path, name: str) -> None:
    data = evil_archives(secret)[name]
    before = secret.stat()
    engine.cli("import", "-", "evil-import", stdin=data)
    assert untouched(secret)
    after = secret.stat()
    assert (after.st_mode, after.st_uid) == (before.st_mode, before.st_uid)
    assert (secret / "key").stat().st_nlink == 1
    # and the same archive copied into a container, with its root all the attacker's
    engine.cli("create", "--name", "target", "busybox", "true")
    try:
        attacks.request(engine, "PUT", "/containers/target/archive?path=/", data)
        assert untouched(secret)
        assert (secret / "key").stat().st_nlink == 1
    finally:
        engine.cli("rm", "-f", "target")


def test_a_directory_renamed_in_a_container_is_whole_in_the_commit(engine: ours.Engine) -> None:
    """Overlay's redirect_dir and metacopy are off, so no attribute stands for files of another layer."""
    script = "mv /bin /moved && /moved/ln -s /moved /bin && chmod 700 /etc/passwd"
    assert engine.cli("run", "--name", "renamed", "busybox", "sh", "-c", script).returncode == 0
    try:
        assert engine.cli("commit", "renamed", "renamed").returncode == 0
        done = engine.cli(
            "run", "--rm", "renamed", "/moved/sh", "-c", "/moved/stat -c %a /etc/passwd; cat /etc/group"
        )
        assert done.stdout.splitlines()[:2] == ["700", "root:x:0:"], done
        upper = next(engine.state.glob("data/containers/*/upper/moved")).parent
        named = [(path, os.listxattr(path, follow_symlinks=False)) for path in upper.rglob("*")]
        assert not [item for item in named if any("redirect" in key or "metacopy" in key for key in item[1])]
    finally:
        engine.cli("rm", "-f", "renamed")


def test_overlays_are_mounted_with_our_options_whatever_the_modules_defaults_are(engine: ours.Engine) -> None:
    parameters = Path("/sys/module/overlay/parameters")
    names = ("redirect_dir", "metacopy", "index")
    before = {name: (parameters / name).read_text().strip() for name in names}
    try:
        for name in names:
            (parameters / name).write_text("Y")
        options = engine.cli("run", "--rm", "busybox", "sh", "-c", "mount | grep 'on / '").stdout
    finally:
        for name in names:
            (parameters / name).write_text(before[name])
    assert "type overlay" in options
    for wrong in ("redirect_dir=on", "metacopy=on", "index=on", "userxattr"):
        assert wrong not in options


def test_what_a_container_makes_is_no_device_or_set_user_program_for_others(engine: ours.Engine) -> None:
    script = "cp /bin/busybox /root/evil; chmod 4755 /root/evil; mknod /root/disk b 8 0; chmod 666 /root/disk"
    assert engine.cli("run", "--name", "maker", "busybox", "sh", "-c", script).returncode == 0
    try:
        upper = next(engine.state.glob("data/containers/*/upper/root/evil")).parents[1]
        assert (upper / "root/evil").stat().st_mode & stat.S_ISUID
        assert stat.S_IMODE(upper.parent.stat().st_mode) & 0o007 == 0
    finally:
        engine.cli("rm", "-f", "maker")
