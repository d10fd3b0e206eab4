"""Archives of images: what is saved can be loaded, in whatever order, and what is wrong leaves nothing."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import tarfile
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.conformance.registry.registries import digest, layer
from wharfie.errors import InvalidArgument, NotFound, NotSupported
from wharfie.images.archiveindex import BadImageArchive
from wharfie.images.image import ContainerUse, ImageNotFound
from wharfie.images.layers import DigestMismatch
from wharfie.images.pipe import InwardPipe, Produced
from wharfie.images.store import ImageStore
from wharfie.images.tar import BadArchive
from wharfie.state.db import Database
from wharfie.support.tasks import spawn

ONE, TWO = layer({"a": b"one"}), layer({"b": b"two" * 1000})


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(str(tmp_path / "root"), Database(":memory:"))


async def stream(data: bytes, size: int = 700) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


def config(*layers: bytes, architecture: str = "amd64") -> bytes:
    diffs = [digest(data) for data in layers]
    text = {"architecture": architecture, "os": "linux", "rootfs": {"type": "layers", "diff_ids": diffs}}
    return json.dumps(text).encode()


def docker(name: str | None = "x:1", **change: bytes) -> dict[str, bytes]:
    """The members of an archive in Docker's layout."""
    entry = {
        "Config": "c.json",
        "RepoTags": [name] if name else None,
        "Layers": ["1/layer.tar", "2/layer.tar"],
    }
    files = {"c.json": config(ONE, TWO), "1/layer.tar": ONE, "2/layer.tar": TWO}
    return {**files, "manifest.json": json.dumps([entry]).encode(), **change}


def oci(annotations: dict[str, str], *architectures: str) -> dict[str, bytes]:
    """The members of an OCI layout, with one manifest or an index of several."""
    files: dict[str, bytes] = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}

    def put(data: bytes, kind: str) -> dict[str, object]:
        files[f"blobs/sha256/{digest(data)[7:]}"] = data
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": digest(data), "size": len(data)}

    entries = []
    for architecture in architectures or ("amd64",):
        manifest = {
            "schemaVersion": 2,
            "config": put(config(ONE, architecture=architecture), "config.v1+json"),
            "layers": [put(gzip.compress(ONE, mtime=0), "layer.v1.tar+gzip")],
        }
        entries.append(put(json.dumps(manifest).encode(), "manifest.v1+json"))
        entries[-1]["platform"] = {"os": "linux", "architecture": architecture}
    if len(entries) > 1:
        inner = put(json.dumps({"schemaVersion": 2, "manifests": entries}).encode(), "index.v1+json")
        entries = [inner]
    entries[0]["annotations"] = annotations
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
    return files


async def load(store: ImageStore, files: dict[str, bytes], **more: object) -> list[str]:
    told: list[dict[str, object]] = []
    await store.load(stream(layer(files)), progress=told.append, **more)  # type: ignore[arg-type]
    return [str(message["stream"]) for message in told if "stream" in message]


async def save(store: ImageStore, *names: str, platform: str | None = None) -> bytes:
    found = store.chosen([*names], platform=platform)
    async with store.save(found) as pieces:
        return b"".join([piece async for piece in pieces])


def leaves_nothing(store: ImageStore, tmp_path: Path) -> bool:
    root = tmp_path / "root"
    return not store.list(all=True) and not any(
        list((root / name).iterdir()) for name in ("layers", "blobs/sha256", "tmp")
    )


@pytest.mark.parametrize("backwards", [True, False])
async def test_members_come_in_any_order(store: ImageStore, backwards: bool) -> None:
    files = docker()
    told = await load(store, dict(reversed(files.items())) if backwards else files)
    assert told == ["Loaded image: x:1\n"]
    image = store.get("x:1")
    assert image.id == digest(files["c.json"])
    assert Path(image.lower[0], "b").read_bytes() == b"two" * 1000


async def test_the_same_images_give_the_same_archive(store: ImageStore, tmp_path: Path) -> None:
    await load(store, docker())
    first = await save(store, "x:1")
    other = ImageStore(str(tmp_path / "other"), Database(":memory:"))
    await other.load(stream(first), progress=lambda _: None)
    assert await save(other, "x:1") == first
    with tarfile.open(fileobj=io.BytesIO(first)) as archive:
        names = archive.getnames()
        assert names[:4] == ["oci-layout", "index.json", "manifest.json", "repositories"]
        member = archive.extractfile(f"blobs/sha256/{digest(TWO)[7:]}")
        assert member is not None
        assert member.read() == TWO


async def test_a_name_without_a_tag_saves_all_its_tags_and_an_id_saves_no_name(store: ImageStore) -> None:
    await load(store, docker())
    store.tag("x:1", "x:2")
    store.tag("x:1", "y:3")
    for names, tags in (
        (["x"], ["x:1", "x:2"]),
        (["x:2", "y:3"], ["x:2", "y:3"]),
        ([store.get("x:1").id], None),
    ):
        with tarfile.open(fileobj=io.BytesIO(await save(store, *names))) as archive:
            member = archive.extractfile("manifest.json")
            assert member is not None
            (entry,) = json.load(member)
            assert entry["RepoTags"] == tags


async def test_an_image_without_a_name_is_told_by_its_id(store: ImageStore) -> None:
    assert await load(store, docker(None)) == [f"Loaded image ID: {digest(config(ONE, TWO))}\n"]


async def test_a_name_moves_and_that_is_told(store: ImageStore) -> None:
    await load(store, docker())
    old = store.get("x:1").id
    entry = json.dumps([{"Config": "c.json", "RepoTags": ["x:1"], "Layers": ["1/layer.tar"]}]).encode()
    told = await load(store, docker(**{"c.json": config(ONE), "manifest.json": entry}))
    assert told[0] == (f"The image x:1 already exists, renaming the old one with ID {old} to empty string\n")
    assert store.get(old).repo_tags == []


async def test_a_layer_that_is_a_link_to_another_is_that(store: ImageStore) -> None:
    buffer = io.BytesIO()
    files = docker(**{"c.json": config(ONE, ONE)})
    with tarfile.open(fileobj=buffer, mode="w") as made:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            if name == "2/layer.tar":
                info.type, info.linkname, content = tarfile.SYMTYPE, "../1/layer.tar", b""
            info.size = len(content)
            made.addfile(info, io.BytesIO(content))
    await store.load(stream(buffer.getvalue()), progress=lambda _: None)
    assert store.get("x:1").diff_ids == [digest(ONE)] * 2


async def test_a_compressed_archive_and_quiet(store: ImageStore) -> None:
    told: list[dict[str, object]] = []
    await store.load(stream(gzip.compress(layer(docker()))), quiet=True, progress=told.append)
    assert told == [{"stream": "Loaded image: x:1\n"}]


@pytest.mark.parametrize(
    ("annotations", "name"),
    [
        (
            {"io.containerd.image.name": "docker.io/library/a:1", "org.opencontainers.image.ref.name": "1"},
            "a:1",
        ),
        ({"org.opencontainers.image.ref.name": "example.com/b"}, "example.com/b:latest"),
        ({"org.opencontainers.image.ref.name": "latest"}, None),
        ({}, None),
    ],
)
async def test_an_oci_layout_names_its_images(
    store: ImageStore, annotations: dict[str, str], name: str | None
) -> None:
    await load(store, oci(annotations))
    (image,) = store.list(all=True)
    assert image.repo_tags == ([name] if name else [])
    # what came compressed is kept so
    assert store.catalog.layers(image.id)[0].blob == digest(gzip.compress(ONE, mtime=0))


async def test_a_platform_is_chosen_or_missing(store: ImageStore) -> None:
    files = oci({"org.opencontainers.image.ref.name": "a:1"}, "amd64", "arm64")
    await load(store, files, platform="linux/arm64")
    assert store.get("a:1").architecture == "arm64"
    with pytest.raises(NotFound, match="no matching manifest for linux/s390x"):
        await load(store, files, platform="linux/s390x")
    with pytest.raises(NotFound, match="none for the platform linux/s390x"):
        await load(store, docker(), platform="linux/s390x")
    with pytest.raises(NotFound, match=r"does not provide the specified platform \(linux/s390x\)"):
        await save(store, "a:1", platform="linux/s390x")


async def test_saving_what_is_not_there_is_refused(store: ImageStore) -> None:
    with pytest.raises(ImageNotFound, match="No such image: nothing:latest"):
        await save(store, "nothing")


WRONG: dict[str, tuple[dict[str, bytes], type[Exception], str]] = {
    "a missing layer": ({"1/layer.tar": b""}, BadImageArchive, 'it has no layer "1/layer.tar"'),
    "another layer": ({"1/layer.tar": layer({"a": b"other"})}, DigestMismatch, "and should be"),
    "a missing configuration": ({"c.json": b""}, BadImageArchive, 'it has no "c.json"'),
    "no index": ({"manifest.json": b""}, BadImageArchive, "neither manifest.json nor index.json"),
    "an old layout": ({"manifest.json": b"", "repositories": b"{}"}, NotSupported, "before version 1.10"),
    "an index that is none": ({"manifest.json": b'{"a":1}'}, BadImageArchive, "manifest.json is invalid"),
    "too few layers": (
        {"manifest.json": b'[{"Config":"c.json","Layers":["1/layer.tar"]}]'},
        BadImageArchive,
        "has 1 layers, and its configuration speaks of 2",
    ),
    "a digest as a tag": (
        {
            "manifest.json": b'[{"Config":"c.json","RepoTags":["x@sha256:%b"],"Layers":["1/layer.tar",'
            b'"2/layer.tar"]}]' % (b"0" * 64)
        },
        BadImageArchive,
        "invalid tag",
    ),
    "a blob that is not what it is called": (
        {"blobs/sha256/" + "0" * 64: layer({"c": b"c"})}, BadArchive, "the archive is damaged"
    ),
    "something else": ({"huge": b"x" * (2 << 20)}, BadArchive, "neither layer nor document"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
async def test_a_wrong_archive_leaves_nothing(store: ImageStore, tmp_path: Path, what: str) -> None:
    change, kind, words = WRONG[what]
    with pytest.raises(kind, match=words):
        await load(store, docker(**change))
    assert leaves_nothing(store, tmp_path)


@pytest.mark.parametrize("cut", [1500, 4000])
async def test_an_archive_cut_off_leaves_nothing(store: ImageStore, tmp_path: Path, cut: int) -> None:
    with pytest.raises(InvalidArgument):
        await store.load(stream(layer(docker())[:cut]), progress=lambda _: None)
    assert leaves_nothing(store, tmp_path)


async def test_a_layer_that_comes_twice_under_one_name_leaves_nothing(
    store: ImageStore, tmp_path: Path
) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as made:
        for name, content in [("1/layer.tar", TWO), *docker().items()]:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            made.addfile(info, io.BytesIO(content))
    await store.load(stream(buffer.getvalue()), progress=lambda _: None)
    assert store.get("x:1").diff_ids == [digest(ONE), digest(TWO)]
    assert not list((tmp_path / "root/tmp").iterdir())


async def test_one_bad_image_of_two_keeps_both_out(store: ImageStore, tmp_path: Path) -> None:
    good = {"Config": "c.json", "RepoTags": ["x:1"], "Layers": ["1/layer.tar", "2/layer.tar"]}
    bad = {"Config": "c.json", "RepoTags": ["y:1"], "Layers": ["2/layer.tar", "1/layer.tar"]}
    with pytest.raises(DigestMismatch):
        await load(store, docker(**{"manifest.json": json.dumps([good, bad]).encode()}))
    assert leaves_nothing(store, tmp_path)


async def test_a_layer_removed_during_a_save_stays_until_its_end(store: ImageStore) -> None:
    await load(store, docker())
    async with store.save(store.chosen(["x:1"])) as pieces:
        first = await anext(pieces)
        where = Path(store.get("x:1").lower[0])

        def nobody(_: str) -> list[ContainerUse]:
            return []

        store.remove("x:1", in_use=nobody)
        assert where.exists()
        whole = first + b"".join([piece async for piece in pieces])
    assert not where.exists()
    await store.load(stream(whole), progress=lambda _: None)
    assert store.get("x:1").diff_ids == [digest(ONE), digest(TWO)]


async def test_who_makes_a_stream_is_told_when_nobody_reads_it_to_the_end() -> None:
    ended = threading.Event()

    def work(write: Callable[[bytes], None]) -> None:
        try:
            while True:
                write(bytes(1 << 20))
        finally:
            ended.set()

    pipe = InwardPipe()
    feeder = spawn("feed", pipe.feed(Produced("endless", work)))
    assert len(await asyncio.to_thread(pipe.read)) == 1 << 20
    pipe.abandon()
    await asyncio.wait_for(feeder, 30)
    assert ended.is_set()
