"""``cp``: Docker's rules, and archives that try to leave their directory."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path
from typing import IO, cast

import pytest

from wharfie.cli.cp import _inner_place, _local_place, archive, split_argument
from wharfie.cli.errors import CommandError
from wharfie.client.errors import BadArchive
from wharfie.client.extract import Extractor


def entry(
    name: str, kind: bytes = tarfile.REGTYPE, link: str = "", data: bytes = b""
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size, info.mode = kind, link, len(data), 0o755
    return info, data


def packed(*entries: tuple[tarfile.TarInfo, bytes]) -> IO[bytes]:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for info, data in entries:
            tar.addfile(info, io.BytesIO(data))
    buffer.seek(0)
    return buffer


def extract(directory: Path, stream: IO[bytes], prefix: list[str]) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        Extractor(fd, prefix, owners=False).run(stream)
    finally:
        os.close(fd)


ATTACKS = [
    [entry("d", tarfile.DIRTYPE), entry("d/../../out", data=b"x")],
    [entry("/out", data=b"x")],
    [entry("d", tarfile.DIRTYPE), entry("d/l", tarfile.SYMTYPE, ".."), entry("d/l/out", data=b"x")],
    [entry("d", tarfile.DIRTYPE), entry("d/l", tarfile.SYMTYPE, "/"), entry("d/l/out", tarfile.DIRTYPE)],
    [entry("d", tarfile.DIRTYPE), entry("d/h", tarfile.LNKTYPE, "../secret")],
    [
        entry("d", tarfile.DIRTYPE),
        entry("d/l", tarfile.SYMTYPE, ".."),
        entry("d/h", tarfile.LNKTYPE, "d/l/secret"),
    ],
]


@pytest.mark.parametrize("entries", ATTACKS)
def test_nothing_leaves_the_directory(tmp_path: Path, entries: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    (tmp_path / "secret").write_text("host's")
    (tmp_path / "in").mkdir()
    with pytest.raises(BadArchive):
        extract(tmp_path / "in", packed(*entries), ["new"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "secret"]
    assert (tmp_path / "secret").stat().st_nlink == 1


def test_a_link_in_the_way_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("host's")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "f").symlink_to(tmp_path / "secret")
    extract(tmp_path / "in", packed(entry("f", data=b"new")), ["f"])
    assert (tmp_path / "secret").read_text() == "host's"
    assert (tmp_path / "in" / "f").read_text() == "new"


def test_a_tree_goes_there_and_back(tmp_path: Path) -> None:
    source = tmp_path / "src"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "file").write_bytes(b"data" * 1000)
    (source / "sub" / "again").hardlink_to(source / "sub" / "file")
    (source / "link").symlink_to("sub/file")
    (source / "sub").chmod(0o750)
    os.utime(source / "sub", (1000, 1000))
    stream = cast(IO[bytes], io.BytesIO(b"".join(archive(str(source), "top"))))
    (tmp_path / "out").mkdir()
    extract(tmp_path / "out", stream, ["renamed"])
    out = tmp_path / "out" / "renamed"
    assert (out / "sub" / "file").read_bytes() == b"data" * 1000
    assert (out / "sub" / "again").stat().st_nlink == 2
    assert os.readlink(out / "link") == "sub/file"
    assert (out / "sub").stat().st_mode & 0o777 == 0o750
    assert (out / "sub").stat().st_mtime == 1000


def test_contents_only(tmp_path: Path) -> None:
    for names in (("./", "./a"), ("d/", "d/a")):
        extract(tmp_path, packed(entry(names[0], tarfile.DIRTYPE), entry(names[1], data=b"x")), [])
        assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_places_here(tmp_path: Path) -> None:
    here = str(tmp_path)
    assert _local_place(here, "/etc", "etc", is_directory=True) == (here, ["etc"])
    assert _local_place(here, "/etc/.", "etc", is_directory=True) == (here, [])
    assert _local_place(f"{here}/new", "/etc", "etc", is_directory=True) == (here, ["new"])
    assert _local_place(f"{here}/new", "/f", "f", is_directory=False) == (here, ["new"])
    (tmp_path / "file").touch()
    with pytest.raises(CommandError, match="cannot copy directory"):
        _local_place(f"{here}/file", "/etc", "etc", is_directory=True)
    with pytest.raises(CommandError, match="no such directory"):
        _local_place(f"{here}/new/", "/f", "f", is_directory=False)
    with pytest.raises(CommandError, match="does not exist"):
        _local_place(f"{here}/no/new", "/f", "f", is_directory=False)


def test_places_there() -> None:
    assert _inner_place("/a/b", "/d", {"mode": 1}, into=True, is_directory=False) == ("/d", "b")
    assert _inner_place("/a/b/.", "/d", {"mode": 1}, into=True, is_directory=True) == ("/d", ".")
    assert _inner_place("/a/b", "/d/new", None, into=False, is_directory=True) == ("/d", "new")
    with pytest.raises(CommandError, match="cannot copy directory"):
        _inner_place("/a", "/f", {"mode": 0}, into=False, is_directory=True)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("c:/x", ("c", "/x")),
        ("./c:x", ("", "./c:x")),
        ("/c:x", ("", "/c:x")),
        ("-", ("", "-")),
        ("a/b:c", ("", "a/b:c")),
    ],
)
def test_arguments(text: str, parts: tuple[str, str]) -> None:
    assert split_argument(text) == parts
