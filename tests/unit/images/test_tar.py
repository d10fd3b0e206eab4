"""Archives in all their dialects: read, unpacked, and made again byte for byte."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from wharfie.images import tarsplit
from wharfie.images.layers import LayerStore
from wharfie.images.pack import pack_root


def unpacked(tmp_path: Path, data: bytes, chunk: int = 4096) -> tuple[str, Path]:
    store = LayerStore(str(tmp_path / "root"))
    draft = store.draft()
    pieces = iter([data[at : at + chunk] for at in range(0, len(data), chunk)])
    layer = draft.fill(lambda: next(pieces, b""), keep_blob=False)
    store.place(draft, layer)
    return store.directory(layer.directory), Path(store.diff(layer.directory))


def reassembled(directory: str) -> bytes:
    return b"".join(tarsplit.assemble(directory))


def gnu_tar(tmp_path: Path, *options: str) -> bytes:
    return subprocess.run(
        ["tar", "-C", str(tmp_path / "tree"), *options, "-cf", "-", "."], check=True, capture_output=True
    ).stdout


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = tmp_path / "tree"
    (top / "a" / "b").mkdir(parents=True)
    (top / "a" / "file").write_bytes(os.urandom(70_000))
    os.link(top / "a" / "file", top / "a" / "hard")
    (top / "link").symlink_to("a/file")
    (top / ("n" * 200)).write_bytes(b"long name")
    (top / ("d" * 120)).mkdir()
    (top / ("d" * 120) / ("e" * 120)).write_bytes(b"long path")
    (top / os.fsdecode(b"not-utf8-\xff\xfe")).write_bytes(b"bytes")
    with open(top / "holes", "wb") as file:
        file.write(b"begin")
        file.seek(1 << 20)
        file.write(b"middle")
        file.truncate(3 << 20)
    os.mkfifo(top / "fifo")
    os.utime(top / "a" / "file", ns=(1, 1_600_000_000_123_456_789))
    return top


@pytest.mark.parametrize(
    "options",
    [
        ("--format=gnu",),
        ("--format=gnu", "--sparse"),
        ("--format=pax",),
        ("--format=pax", "--sparse", "--sparse-version=0.0"),
        ("--format=pax", "--sparse", "--sparse-version=0.1"),
        ("--format=pax", "--sparse", "--sparse-version=1.0"),
    ],
)
def test_what_gnu_tar_writes_is_unpacked_and_made_again(
    tmp_path: Path, tree: Path, options: tuple[str, ...]
) -> None:
    data = gnu_tar(tmp_path, *options)

    directory, diff = unpacked(tmp_path, data)

    assert hashlib.sha256(reassembled(directory)).hexdigest() == hashlib.sha256(data).hexdigest()
    result = subprocess.run(["diff", "-r", "--no-dereference", str(tree), str(diff)], capture_output=True)
    assert b"Only in" not in result.stdout
    assert b"differ" not in result.stdout.replace(b"File ", b"")
    for path in tree.rglob("*"):
        made = diff / path.relative_to(tree)
        assert made.lstat().st_mode == path.lstat().st_mode
        if path.is_file():
            assert made.read_bytes() == path.read_bytes()
    assert (diff / "a/hard").stat().st_ino == (diff / "a/file").stat().st_ino
    assert (diff / "holes").stat().st_size == 3 << 20
    if "pax" in options[0]:
        assert (diff / "a/file").stat().st_mtime_ns == 1_600_000_000_123_456_789


def test_an_archive_that_overwrites_itself_is_made_again(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:

        def add(name: str, content: bytes) -> None:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))

        for number in range(3):
            add("f", b"version %d" % number * 100)
        add("d/x", b"in a directory")
        add("d/x", b"again")
        link = tarfile.TarInfo("d")
        link.type, link.linkname = tarfile.SYMTYPE, "e"
        archive.addfile(link)
        add("e/x", b"where the link leads")
        add("p/q/r/x", b"below")
        link = tarfile.TarInfo("p/q/r")
        link.type, link.linkname = tarfile.SYMTYPE, "s"
        archive.addfile(link)
        add("p/q/y", b"beside")
        add("p/q/s/z", b"z")
        add("p/q/r/z", b"through")

    directory, diff = unpacked(tmp_path, buffer.getvalue())

    assert reassembled(directory) == buffer.getvalue()
    assert (diff / "f").read_bytes() == b"version 2" * 100
    assert (diff / "d/x").read_bytes() == b"where the link leads"
    assert (diff / "p/q/y").read_bytes() == b"beside"
    assert (diff / "p/q/s/z").read_bytes() == b"through"


@pytest.mark.parametrize("size", [1, 511, 513, 1 << 20])
def test_the_pieces_in_which_it_arrives_do_not_matter(tmp_path: Path, tree: Path, size: int) -> None:
    data = gnu_tar(tmp_path, "--format=pax")[: 1 << 17 if size == 1 else None]
    if size == 1:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            info = tarfile.TarInfo("x")
            info.size = 1000
            archive.addfile(info, io.BytesIO(bytes(1000)))
        data = buffer.getvalue()
    directory, _ = unpacked(tmp_path, data, size)
    assert reassembled(directory) == data


def test_what_we_pack_gnu_tar_and_python_read(tmp_path: Path, tree: Path) -> None:
    parts: list[bytes] = []
    top = os.open(tree, os.O_PATH | os.O_DIRECTORY)
    try:
        pack_root(top, parts.append)
    finally:
        os.close(top)
    data = b"".join(parts)
    (tmp_path / "packed.tar").write_bytes(data)

    result = subprocess.run(
        ["tar", "-C", str(tree), "--compare", "-f", str(tmp_path / "packed.tar")], capture_output=True
    )

    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    with tarfile.open(tmp_path / "packed.tar", errors="surrogateescape") as archive:
        names = {member.name for member in archive}
    assert os.fsdecode(b"not-utf8-\xff\xfe") in names
    assert "n" * 200 in names
