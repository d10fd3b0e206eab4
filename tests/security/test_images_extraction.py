"""Archives that try to reach beyond the directory they are unpacked into, or to take the machine down."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zlib
from pathlib import Path

import pytest
import zstandard

from wharfie.errors import InvalidArgument
from wharfie.images import layers, limits
from wharfie.images.layers import LayerStore
from wharfie.images.tar import BadArchive

Member = tuple[tarfile.TarInfo, bytes]


def member(name: str, kind: bytes = tarfile.REGTYPE, content: bytes = b"", **fields: object) -> Member:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.size = len(content)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, content


def archive(*members: Member) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as made:
        for info, content in members:
            made.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


class Victim:
    """A host with something to lose beside the data root."""

    def __init__(self, top: Path) -> None:
        self.secret = top / "secret"
        self.secret.mkdir()
        (self.secret / "key").write_text("original")
        self.store = LayerStore(str(top / "root"))
        self.draft = self.store.draft()
        self.diff = Path(self.draft.path, "diff")

    def unpack(self, data: bytes) -> None:
        pieces = iter([data])
        self.draft.fill(lambda: next(pieces, b""), keep_blob=False)

    def unpack_again(self, data: bytes) -> None:
        self.draft.discard()
        self.draft = self.store.draft()
        self.diff = Path(self.draft.path, "diff")
        self.unpack(data)

    def untouched(self) -> bool:
        return (
            sorted(os.listdir(self.secret)) == ["key"]
            and (self.secret / "key").read_text() == "original"
            and stat.S_IMODE(self.secret.stat().st_mode) & 0o002 == 0
        )


@pytest.fixture
def victim(tmp_path: Path) -> Victim:
    return Victim(tmp_path)


@pytest.mark.parametrize("name", ["../../../secret/key", "a/../../../../secret/key", "..", "a/b/../../../x"])
def test_a_name_that_climbs_out_is_refused(victim: Victim, name: str) -> None:
    with pytest.raises(BadArchive, match="leads out of its directory"):
        victim.unpack(archive(member(name, content=b"evil")))
    assert victim.untouched()


def test_an_absolute_name_stays_inside(victim: Victim) -> None:
    path = str(victim.secret / "key")
    victim.unpack(archive(member(path, content=b"evil")))
    assert victim.untouched()
    assert Path(str(victim.diff) + path).read_text() == "evil"


@pytest.mark.parametrize("absolute", [True, False])
def test_a_file_behind_a_link_stays_inside(victim: Victim, absolute: bool) -> None:
    target = str(victim.secret) if absolute else "../" * 20 + str(victim.secret).lstrip("/")
    data = archive(
        member("inner/x", content=b"1"),
        member("link", tarfile.SYMTYPE, linkname=target),
        member("link/key", content=b"evil"),
    )
    with pytest.raises(InvalidArgument):
        victim.unpack(data)
    assert victim.untouched()


def test_a_link_in_the_place_of_a_file_is_replaced_and_not_followed(victim: Victim) -> None:
    key = str(victim.secret / "key")
    victim.unpack(
        archive(member("file", tarfile.SYMTYPE, linkname=key), member("file", content=b"evil", mode=0o777))
    )
    assert victim.untouched()
    assert (victim.diff / "file").read_text() == "evil"


def test_a_directory_entry_does_not_dress_what_a_link_leads_to(victim: Victim) -> None:
    data = archive(
        member("dir", tarfile.SYMTYPE, linkname=str(victim.secret)),
        member("dir", tarfile.DIRTYPE, mode=0o777, uid=1234),
    )
    victim.unpack(data)
    assert victim.untouched()
    assert victim.secret.stat().st_uid == os.geteuid()


@pytest.mark.parametrize("through", ["../../../secret/key", "/{secret}/key", "link"])
def test_a_hard_link_reaches_nothing_outside(victim: Victim, through: str) -> None:
    target = through.format(secret=victim.secret)
    data = archive(
        member("link", tarfile.SYMTYPE, linkname=str(victim.secret / "key")),
        member("hard", tarfile.LNKTYPE, linkname=target),
        member("hard", content=b"evil"),
    )
    try:
        victim.unpack(data)
    except BadArchive:
        pass
    assert victim.untouched()
    assert (victim.secret / "key").stat().st_nlink == 1


def test_a_hard_link_into_a_linked_directory_stays_inside(victim: Victim) -> None:
    data = archive(
        member("d", tarfile.SYMTYPE, linkname=str(victim.secret)),
        member("hard", tarfile.LNKTYPE, linkname="d/key"),
    )
    with pytest.raises(BadArchive, match="which is missing"):
        victim.unpack(data)
    assert (victim.secret / "key").stat().st_nlink == 1


@pytest.mark.parametrize("name", [".wh...", ".wh..", "a/.wh...", ".wh."])
def test_a_whiteout_names_nothing_but_a_sibling(victim: Victim, name: str) -> None:
    with pytest.raises(BadArchive, match="invalid whiteout"):
        victim.unpack(archive(member(name)))
    assert victim.untouched()


def test_a_whiteout_behind_a_link_hides_nothing_outside(victim: Victim) -> None:
    data = archive(member("l", tarfile.SYMTYPE, linkname=str(victim.secret)), member("l/.wh.key"))
    with pytest.raises(InvalidArgument):
        victim.unpack(data)
    assert victim.untouched()


def test_attributes_that_order_overlayfs_about_are_dropped(victim: Victim) -> None:
    evil = {
        "SCHILY.xattr.trusted.overlay.redirect": "/etc",
        "SCHILY.xattr.trusted.overlay.opaque": "y",
        "SCHILY.xattr.user.overlay.redirect": "/etc",
        "SCHILY.xattr.security.selinux": "x",
        "SCHILY.xattr.user.fine": "kept",
    }
    victim.unpack(archive(member("d", tarfile.DIRTYPE, pax_headers=evil), member("f", pax_headers=evil)))
    assert os.listxattr(victim.diff / "d") == ["user.fine"]
    assert os.listxattr(victim.diff / "f") == ["user.fine"]


@pytest.mark.parametrize("uid", [(1 << 32) - 1, 1 << 32, 1 << 40])
def test_an_owner_that_wraps_around_to_root_is_refused(victim: Victim, uid: int) -> None:
    with pytest.raises(BadArchive, match="owner out of range"):
        victim.unpack(archive(member("f", uid=uid)))


def test_a_size_that_lies_is_an_early_end(victim: Victim) -> None:
    info = tarfile.TarInfo("f")
    info.size = 1 << 50
    with pytest.raises(InvalidArgument):
        victim.unpack(info.tobuf(tarfile.PAX_FORMAT) + b"x" * 512)


def test_a_sparse_file_of_exbibytes_is_refused(victim: Victim) -> None:
    headers = {"GNU.sparse.major": "0", "GNU.sparse.map": "0,1", "GNU.sparse.size": str(1 << 60)}
    with pytest.raises(limits.ArchiveTooBig):
        victim.unpack(archive(member("f", content=b"x", pax_headers=headers)))


def test_a_bomb_is_stopped_by_its_ratio(victim: Victim, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RATIO_FROM", 8 << 20)
    bomb = zstandard.ZstdCompressor(level=3).compress(archive(member("f", content=bytes(64 << 20))))
    assert len(bomb) < 60_000
    with pytest.raises(limits.ArchiveTooBig, match="only a bomb"):
        victim.unpack(bomb)
    assert sum(path.stat().st_size for path in victim.diff.iterdir()) < 64 << 20


def test_too_many_entries_are_refused(victim: Victim, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "Budget", lambda fd: limits.Budget(fd, entries=3))
    with pytest.raises(limits.ArchiveTooBig, match="entries"):
        victim.unpack(archive(*(member(f"f{number}") for number in range(4))))


def test_directories_on_the_way_count_as_entries(victim: Victim, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "Budget", lambda fd: limits.Budget(fd, entries=3))
    with pytest.raises(limits.ArchiveTooBig, match="entries"):
        victim.unpack(archive(member("a/b/c/f")))
    assert not (victim.diff / "a/b/c/f").exists()


def test_global_headers_are_not_gathered_without_end(victim: Victim) -> None:
    blocks = [
        tarfile.TarInfo.create_pax_global_header(
            {f"SCHILY.xattr.user.{turn}.{at}": "x" * 40 for at in range(500)}
        )
        for turn in range(3)
    ]
    with pytest.raises(BadArchive, match="global headers of more than"):
        victim.unpack(b"".join(blocks) + archive(member("f")))


@pytest.mark.parametrize(
    "seconds", [b"\x80" + b"\x7f" * 11, b"\xff" + b"\x00" * 11, b"\x80\x00\x00\x01" + bytes(8)]
)
def test_a_time_beyond_all_clocks_is_refused(victim: Victim, seconds: bytes) -> None:
    block = bytearray(archive(member("f")))
    block[136:148] = seconds
    block[148:156] = b"%06o\0 " % (sum(block[:512]) - sum(block[148:156]) + 256)
    with pytest.raises(BadArchive, match="invalid time"):
        victim.unpack(bytes(block))


def test_a_path_too_deep_to_be_walked_is_refused(victim: Victim) -> None:
    with pytest.raises(BadArchive):
        victim.unpack(archive(member("d/" * 2100 + "f", content=b"x")))
    victim.unpack_again(archive(member("d/" * 1900 + "f", content=b"x")))
    victim.draft.discard()


@pytest.mark.parametrize("length", [256, 5000])
def test_names_that_are_too_long_are_refused(victim: Victim, length: int) -> None:
    with pytest.raises(BadArchive):
        victim.unpack(archive(member("n" * length)))


def test_a_header_of_gigabytes_is_not_read_into_memory(victim: Victim) -> None:
    info = tarfile.TarInfo("x")
    info.type = tarfile.XHDTYPE
    info.size = 1 << 31
    with pytest.raises(BadArchive, match="header of"):
        victim.unpack(info.tobuf(tarfile.USTAR_FORMAT))


@pytest.mark.parametrize("cut", [1, 100, 511, 512, 700])
def test_a_stream_cut_off_is_an_error_and_not_a_layer(victim: Victim, cut: int) -> None:
    data = zlib.compress(archive(member("f", content=os.urandom(3000))), wbits=31)
    with pytest.raises(InvalidArgument):
        victim.unpack(data[:-cut])


def test_nobody_but_root_reaches_a_layer(victim: Victim) -> None:
    for name in ("layers", "blobs/sha256", "tmp"):
        assert stat.S_IMODE(os.stat(Path(victim.draft.path).parent.parent / name).st_mode) == 0o700
