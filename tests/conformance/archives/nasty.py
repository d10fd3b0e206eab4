"""An image with everything that a layer can hold, as archives of several makers and compressions."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import json
import lzma
import os
import subprocess
import tarfile
from pathlib import Path

import zstandard

TIME = "1700000000.123456789"
# struct vfs_cap_data, revision 2, cap_net_raw permitted and effective (capabilities(7))
CAPABILITY = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0".decode()
RAW = b"not utf-8 \xff\xfe\xe9"


def _member(name: str, kind: bytes = tarfile.REGTYPE, **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    info.pax_headers = {"mtime": TIME}
    for key, value in fields.items():
        setattr(info, key, value)
    return info


class Layer:
    """An archive being written."""

    def __init__(self) -> None:
        self._buffer = io.BytesIO()

    def add(self, name: str, kind: bytes = tarfile.REGTYPE, content: bytes = b"", **fields: object) -> None:
        info = _member(name, kind, **fields)
        info.pax_headers = {"mtime": TIME, **fields.get("pax_headers", {})}  # type: ignore[dict-item]
        info.size = len(content)
        self._write(info, tarfile.PAX_FORMAT, content)

    def add_raw(self, name: bytes, content: bytes) -> None:
        """A name that is no text: in a GNU header, where bytes are bytes."""
        info = tarfile.TarInfo(name.decode("utf-8", "surrogateescape"))
        info.size, info.mtime = len(content), 1_600_000_000
        self._write(info, tarfile.GNU_FORMAT, content)

    def _write(self, info: tarfile.TarInfo, form: int, content: bytes) -> None:
        self._buffer.write(info.tobuf(form, "utf-8", "surrogateescape"))
        self._buffer.write(content + bytes(-len(content) % 512))

    def add_archive(self, data: bytes) -> None:
        """The members of another archive, its end of two blocks cut off."""
        self._buffer.write(data[:-1024])

    def end(self) -> bytes:
        return self._buffer.getvalue() + bytes(1024)


def base(holes: Path | None = None) -> bytes:
    """Kinds of files, names, owners, modes, attributes; with a directory to work in, a file with holes."""
    layer = Layer()
    layer.add("./", tarfile.DIRTYPE, mode=0o751, uid=4)
    layer.add("bin/", tarfile.DIRTYPE, mode=0o1777, uid=10, gid=20)
    layer.add("bin/tool", content=b"#!/bin/sh\n", mode=0o4755)
    layer.add("bin/same", tarfile.LNKTYPE, linkname="bin/tool", mode=0o4755)
    layer.add("bin/link", tarfile.SYMTYPE, linkname="../etc/motd")
    layer.add("bin/nowhere", tarfile.SYMTYPE, linkname="/no/such/place", uid=7, gid=8)
    layer.add("etc/", tarfile.DIRTYPE, mode=0o750)
    layer.add("etc/motd", content=b"hello\n" * 5000, uid=1000, gid=100_000, mode=0o600)
    layer.add("etc/empty", mode=0)
    layer.add("etc/attributes", content=b"x", pax_headers={"SCHILY.xattr.user.mine": "yes"})
    layer.add("etc/capable", content=b"y", pax_headers={"SCHILY.xattr.security.capability": CAPABILITY})
    layer.add("dev/", tarfile.DIRTYPE)
    layer.add("dev/null", tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666)
    layer.add("dev/disk", tarfile.BLKTYPE, devmajor=259, devminor=300)
    layer.add("dev/pipe", tarfile.FIFOTYPE, mode=0o620)
    layer.add("long/" + "n" * 200, content=b"long name")
    layer.add("deep/" + "d/" * 150 + "bottom", content=b"deep")
    layer.add("uml/\u00e4\u00f6\u4e2d", content=b"unicode")
    layer.add_raw(b"raw/" + RAW, b"bytes")
    layer.add("old/", tarfile.DIRTYPE)
    layer.add("old/hidden", content=b"to be hidden")
    layer.add("old/kept/file", content=b"k")
    layer.add("gone", content=b"to be deleted")
    layer.add("becomes-dir", content=b"file")
    layer.add("becomes-file/", tarfile.DIRTYPE)
    layer.add("becomes-file/inside", content=b"i")
    layer.add("twice", content=b"first")
    layer.add("late/", tarfile.DIRTYPE, pax_headers={"mtime": "1500000000.000000001"})
    layer.add("late/file", content=b"after the directory")
    if holes is not None:
        # the header of a further name speaks of the file, for Docker at least
        layer.add("late/same", tarfile.LNKTYPE, linkname="late/file", mode=0o600, uid=9)
        layer.add_archive(sparse(holes))
    return layer.end()


def sparse(directory: Path) -> bytes:
    """A file with holes, as GNU tar writes it."""
    path = directory / "holes"
    with open(path, "wb") as file:
        file.write(b"begin")
        file.seek(1 << 20)
        file.write(b"middle")
        file.truncate(3 << 20)
    os.utime(path, ns=(0, 1_650_000_000_987_654_321))
    words = ["tar", "-b1", "--sparse", "--format=posix", "--owner=5", "--group=6", "-cf", "-"]
    done = subprocess.run([*words, "-C", str(directory), "holes"], check=True, capture_output=True)
    return done.stdout


def top() -> bytes:
    """What a second layer can do to the first."""
    layer = Layer()
    layer.add("./", tarfile.DIRTYPE, mode=0o751, uid=4)
    layer.add("old/", tarfile.DIRTYPE, mode=0o711)
    layer.add("old/.wh..wh..opq")
    layer.add("old/new", content=b"visible")
    layer.add(".wh.gone")
    layer.add("becomes-dir/", tarfile.DIRTYPE)
    layer.add("becomes-dir/inside", content=b"in")
    layer.add("becomes-file", content=b"file now")
    layer.add("etc/", tarfile.DIRTYPE, mode=0o755, uid=3)
    layer.add("etc/.wh.empty")
    layer.add("etc/added", content=b"added")
    layer.add("bin/", tarfile.DIRTYPE, mode=0o1777, uid=10, gid=20)
    layer.add("bin/tool", content=b"replaced", mode=0o755)
    return layer.end()


def third() -> bytes:
    """A deleted directory comes back, a replaced file once more."""
    layer = Layer()
    layer.add("./", tarfile.DIRTYPE, mode=0o751, uid=4)
    layer.add("etc/", tarfile.DIRTYPE, mode=0o755, uid=3)
    layer.add("etc/motd", content=b"third\n")
    layer.add("gone/", tarfile.DIRTYPE)
    layer.add("gone/again", content=b"a directory now")
    layer.add(".wh.twice")
    return layer.end()


COMPRESSIONS = {
    "none": bytes,
    "gzip": lambda data: gzip.compress(data, 6, mtime=0),
    "zstd": zstandard.ZstdCompressor(level=3).compress,
    # a skippable frame first, and several frames: the form of zstd:chunked
    "chunked": lambda data: (
        b"\x50\x2a\x4d\x18\x04\0\0\0wxyz"
        + b"".join(
            zstandard.ZstdCompressor().compress(data[at : at + 4096]) for at in range(0, len(data), 4096)
        )
        + b"\x5a\x2a\x4d\x18\x03\0\0\0end"
    ),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def docker_archive(layers: list[bytes], name: str, compression: str = "none") -> bytes:
    """An image as ``docker save`` has it, its layers compressed or not."""
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "created": "2023-11-14T22:13:20Z",
            "config": {"Cmd": ["/bin/tool"], "Env": ["A=b"], "Labels": {"k": "v"}},
            "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]},
            "history": [{"created_by": f"step {number}"} for number in range(len(layers))],
        }
    ).encode()
    files = {f"{digest(config)[7:]}.json": config}
    paths = []
    for layer in layers:
        paths.append(f"{digest(layer)[7:]}/layer.tar")
        files[paths[-1]] = COMPRESSIONS[compression](layer)
    entry = {"Config": f"{digest(config)[7:]}.json", "RepoTags": [name], "Layers": paths}
    files["manifest.json"] = json.dumps([entry]).encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as made:
        for path, content in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(content)
            made.addfile(info, io.BytesIO(content))
    return buffer.getvalue()
