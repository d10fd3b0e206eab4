"""Archives that a program made up (SECURITY 3, 4 and 5): a clear error or a layer, and nothing else.

500 cases in all; ``WHARFIE_FUZZ=10000`` for a long run.
"""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import os
import resource
import stat
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from tests.conformance.registry.registries import digest
from wharfie.errors import WharfieError
from wharfie.images.image import ContainerUse
from wharfie.images.layers import LayerStore
from wharfie.images.store import ImageStore
from wharfie.state.db import Database

CASES = int(os.environ.get("WHARFIE_FUZZ", "500"))
MEMORY = 256 << 10
"""KiB by which this process may grow."""
relaxed = settings(
    max_examples=CASES // 2,
    deadline=None,
    derandomize="WHARFIE_FUZZ" not in os.environ,
    database=None,
    suppress_health_check=list(HealthCheck),
)

_PARTS = [
    *(
        b"a",
        b"b",
        b"..",
        b".",
        b"",
        b".wh.a",
        b".wh.",
        b".wh...",
        b".wh..wh..opq",
        b".wh..wh.x",
        b"l",
        b"etc",
    ),
    *(b"n" * 255, b"n" * 256, b"\xff\xfe", b"proc", b"secret", b"key"),
]
names = some.one_of(
    some.lists(some.sampled_from(_PARTS), min_size=1, max_size=6).map(b"/".join),
    some.sampled_from([b"/", b"../../secret/key", b"../../../secret", b"/proc/self/fd/3", b"d/" * 49 + b"x"]),
    some.binary(max_size=20),
)
_CONTENT = (b"0", b"7", b"\0", b"L", b"K", b"Q")
_FILES = [b"0", b"1", b"2", b"3", b"4", b"5", b"6"]
kinds = some.sampled_from(_FILES * 6 + [b"S", b"\0", b"7", b"L", b"K", b"g", b"x", b"Q"])
numbers = some.one_of(some.integers(0, 7), some.sampled_from([-1, 1 << 31, (1 << 32) - 1, 1 << 40, 1 << 62]))
_KEYS = [
    *("path", "linkpath", "size", "mtime", "atime", "uid", "gid", "hdrcharset"),
    *("SCHILY.xattr.trusted.overlay.opaque", "SCHILY.xattr.user.x", "SCHILY.xattr.security.capability"),
    *("GNU.sparse.major", "GNU.sparse.minor", "GNU.sparse.map", "GNU.sparse.size", "GNU.sparse.realsize"),
    "GNU.sparse.name",
]
_VALUES = [
    *("", "0", "1", "-1", "0,1", "0,5,9,1", "1e9", "99999999999999999999", "../../secret/key", "a"),
    *("1700000000.5", str(1 << 62), "d/" * 3000),
]
records = some.dictionaries(
    some.sampled_from(_KEYS), some.sampled_from(_VALUES) | some.text(max_size=8), max_size=4
)


def seldom(draw: some.DrawFn) -> bool:
    """Once in twelve times."""
    return draw(some.integers(0, 11)) == 7


@some.composite
def members(draw: some.DrawFn) -> bytes:
    """One member: a header of any kind, with content that need not fit it."""
    info = tarfile.TarInfo("x")
    kind = draw(kinds)
    content = draw(some.binary(max_size=1500)) if kind in _CONTENT or seldom(draw) else b""
    info.size = draw(some.integers(0, 1 << 33)) if seldom(draw) else len(content)
    info.mode = draw(some.integers(0, 0o7777))
    info.uid = draw(numbers) & 0o7777777
    info.mtime = draw(some.integers(0, 1 << 32))
    info.devmajor, info.devminor = draw(some.integers(0, 300)), draw(some.integers(0, 3))
    info.pax_headers = draw(records) if seldom(draw) else {}
    # tarfile wants text, and checks it: what it writes is a frame whose fields are overwritten
    block = bytearray(info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))
    head = len(block) - 512
    name, link = draw(names)[:100], draw(names)[:100]
    block[head : head + 100] = name.ljust(100, b"\0")
    block[head + 156 : head + 157] = kind
    block[head + 157 : head + 257] = link.ljust(100, b"\0")
    if not seldom(draw):
        block[head + 148 : head + 156] = b" " * 8
        block[head + 148 : head + 156] = b"%06o\0 " % sum(block[head:])
    return bytes(block) + content + bytes(-len(content) % 512)


@some.composite
def archives(draw: some.DrawFn) -> bytes:
    """Members, perhaps cut off or with a byte changed, perhaps compressed."""
    data = bytearray(b"".join(draw(some.lists(members(), max_size=8))))
    if draw(some.booleans()):
        data += bytes(1024)
    if data and seldom(draw):
        data[draw(some.integers(0, len(data) - 1))] ^= draw(some.integers(1, 255))
    if data and seldom(draw):
        del data[draw(some.integers(0, len(data) - 1)) :]
    how = draw(some.sampled_from(["none", "none", "gzip", "gzip", "zstd", "zstd", "broken"]))
    if how == "gzip":
        return gzip.compress(data, 1)
    if how == "zstd":
        return zstandard.ZstdCompressor().compress(bytes(data))
    return gzip.compress(data, 1)[:-9] if how == "broken" else bytes(data)


class Host:
    """A data root beside something that must not be touched."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.secret = top / "secret"
        self.secret.mkdir()
        (self.secret / "key").write_text("original")
        self.before = self.look()
        self.memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def look(self) -> list[tuple[str, str]]:
        """Everything outside of the data root."""
        found: list[tuple[str, str]] = [("top", ",".join(sorted(os.listdir(self.top))))]
        for path in (self.secret, self.secret / "key"):
            status = os.stat(path)
            shown = (status.st_mode, status.st_uid, status.st_nlink, status.st_mtime_ns)
            found.append((str(path), repr(shown)))
        return [*found, ("key", (self.secret / "key").read_text())]

    def check(self) -> None:
        assert self.look() == self.before
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - self.memory
        assert grown < MEMORY, f"{grown} KiB more memory"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    top = tmp_path_factory.mktemp("fuzz")
    (top / "root").mkdir()
    return Host(top)


def clear(error: BaseException) -> None:
    """Every refusal is a sentence; what the file system itself refuses names that."""
    assert isinstance(error, WharfieError), repr(error)
    assert error.message
    assert "\n" not in error.message


@relaxed
@given(data=archives())
def test_a_layer_or_a_clear_error(host: Host, data: bytes) -> None:
    store = LayerStore(str(host.top / "root"))
    draft = store.draft()
    pieces = iter([data[:700], data[700:]])
    try:
        draft.fill(lambda: next(pieces, b""), keep_blob=True)
    except WharfieError as error:
        clear(error)
    else:
        # whatever is there is inside, and nobody's marks but our own
        for directory, names, files in os.walk(os.path.join(draft.path.encode(), b"diff")):
            for name in names + files:
                path = os.path.join(directory, name)
                mode = os.lstat(path).st_mode
                assert not stat.S_ISSOCK(mode)
    finally:
        draft.discard()
    assert not os.listdir(host.top / "root" / "tmp")
    host.check()


texts = some.recursive(
    some.none() | some.booleans() | some.integers() | some.text(max_size=6),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@some.composite
def image_archives(draw: some.DrawFn) -> bytes:
    """An archive of images of which any part may be wrong."""
    layers = [draw(archives()) for _ in range(draw(some.integers(1, 2)))]
    good = io.BytesIO()
    with tarfile.open(fileobj=good, mode="w") as made:
        made.addfile(tarfile.TarInfo("f"))
    if draw(some.booleans()):
        layers = [good.getvalue()]
    rootfs = {
        "type": draw(some.sampled_from(["layers", "x"])),
        "diff_ids": [digest(one) for one in layers],
    }
    system = draw(some.sampled_from(["linux", "windows", ""]))
    config: object = {"architecture": "amd64", "os": system, "rootfs": rootfs}
    paths = [f"{number}/layer.tar" for number in range(len(layers))]
    tag = draw(some.sampled_from(["x:1", "X:1", "x", "../x:1", "x@sha256:" + "0" * 64, "a/b/c:t"]))
    where = draw(some.sampled_from(["c.json", "../c.json", "/c.json"]))
    index: object = [{"Config": where, "RepoTags": [tag], "Layers": draw(some.permutations(paths))}]
    if seldom(draw):
        config = draw(texts)
    if seldom(draw):
        index = draw(texts)
    files = {"c.json": json.dumps(config).encode(), "manifest.json": json.dumps(index).encode()}
    files.update(zip(paths, layers, strict=True))
    if seldom(draw):
        files.pop(draw(some.sampled_from(sorted(files))))
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as made:
        for name in draw(some.permutations(sorted(files))):
            info = tarfile.TarInfo(name)
            info.size = len(files[name])
            made.addfile(info, io.BytesIO(files[name]))
    return buffer.getvalue()


def nobody(_: str) -> list[ContainerUse]:
    return []


async def loaded(root: Path, data: bytes) -> None:
    store = ImageStore(str(root), Database(":memory:"))

    async def stream() -> AsyncIterator[bytes]:
        for at in range(0, len(data), 900):
            yield data[at : at + 900]

    try:
        await store.load(stream(), progress=lambda _: None)
    except WharfieError as error:
        clear(error)
        assert not store.list(all=True)
        assert not store.catalog.every_image()
    assert not (await store.check(repair=False, in_use=nobody)).problems
    for image in store.list(all=True):
        store.remove(image.id, force=True, in_use=nobody)
    while len(asyncio.all_tasks()) > 1:
        await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()})  # type: ignore[arg-type]
    for name in ("layers", "blobs/sha256", "tmp"):
        assert not os.listdir(root / name)


@relaxed
@given(data=image_archives())
def test_images_or_a_clear_error_and_none_visible_in_part(host: Host, data: bytes) -> None:
    asyncio.run(loaded(host.top / "root", data))
    host.check()
