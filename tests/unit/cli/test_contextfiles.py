"""Archives of contexts that somebody else made."""

from __future__ import annotations

import io
import tarfile
import zipfile

import pytest

from wharfie.cli import contextfiles
from wharfie.cli.errors import CommandError


def tarred(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return packed.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return packed.getvalue()


@pytest.mark.parametrize("pack", [tarred, zipped])
def test_a_file_that_a_context_has_not_is_refused_before_it_is_unpacked(
    pack: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    for archive in (zipfile.ZipFile, tarfile.ExFileObject):
        monkeypatch.setattr(archive, "read", lambda *_: read.append("something"))
    data = pack({"bomb": bytes(1 << 20)})  # type: ignore[operator]
    with pytest.raises(CommandError, match="bomb: unexpected context file"):
        contextfiles._members(data)
    assert read == []


@pytest.mark.parametrize("pack", [tarred, zipped])
def test_what_a_context_has_is_taken(pack: object) -> None:
    files = {"meta.json": b"{}", "tls/docker/ca.pem": b"x"}
    assert contextfiles._members(pack(files)) == files  # type: ignore[operator]


@pytest.mark.parametrize("data", [b"PK\x03\x04broken", b"nothing", zipped({"meta.json": b"{}"})[:-10], b""])
def test_what_is_no_archive_is_told(data: bytes) -> None:
    with pytest.raises(CommandError, match="invalid context: it is no archive"):
        contextfiles._members(data)
