"""Images in the store: made, named, listed, removed, by Docker's rules."""

from __future__ import annotations

import io
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from wharfie.errors import InvalidArgument
from wharfie.images import config as configs
from wharfie.images.image import ContainerUse, Image, ImageInUse, ImageNotFound
from wharfie.images.layers import Layer
from wharfie.images.store import ImageStore
from wharfie.state.db import Database


def archive(name: str = "f", content: bytes = b"content") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as made:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        made.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


async def stream(data: bytes) -> AsyncIterator[bytes]:
    yield data


def nobody(_: str) -> list[ContainerUse]:
    return []


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(str(tmp_path), Database(":memory:"))


async def made(
    store: ImageStore, ref: str | None = "x:1", content: bytes = b"content", **more: object
) -> Image:
    return await store.import_image(stream(archive(content=content)), ref=ref, **more)  # type: ignore[arg-type]


async def test_an_import_is_found_by_name_id_and_beginning(store: ImageStore) -> None:
    image = await made(store, changes=['CMD ["sh"]', "ENV A=b C='d e'", "EXPOSE 80 53/udp", "LABEL k=v"])
    for ref in ("x:1", image.id, image.id[7:], image.id[7:19], image.id[:15]):
        assert store.get(ref).id == image.id
    assert image.config.cmd == ["sh"]
    assert image.config.env == ["A=b", "C=d e"]
    assert image.config.exposed_ports == {"80/tcp": {}, "53/udp": {}}
    assert Path(image.lower[0], "f").read_bytes() == b"content"


async def test_an_absent_image_is_told_with_its_tag(store: ImageStore) -> None:
    with pytest.raises(ImageNotFound, match=r"^No such image: nothing:latest$"):
        store.get("nothing")


@pytest.mark.parametrize(
    "change", ["RUN x", "ENV", "EXPOSE 99999", "HEALTHCHECK SOMETHING x", "ONBUILD FROM x"]
)
async def test_a_change_that_makes_no_sense_is_refused(store: ImageStore, change: str) -> None:
    with pytest.raises(InvalidArgument):
        await made(store, changes=[change])


async def test_a_broken_import_leaves_nothing(store: ImageStore, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument):
        await store.import_image(stream(archive()[:60]), ref="x")

    async def breaking() -> AsyncIterator[bytes]:
        yield archive()[:60]
        raise ConnectionError("client went away")

    with pytest.raises(ConnectionError):
        await store.import_image(breaking(), ref="x")
    assert not list((tmp_path / "tmp").iterdir())
    assert not list((tmp_path / "layers").iterdir())
    assert not store.list()


async def test_names_go_first_and_the_image_with_the_last(store: ImageStore) -> None:
    image = await made(store, "x:1")
    store.tag("x:1", "y:2")
    assert store.remove("x:1", in_use=nobody) == [{"Untagged": "x:1"}]
    assert store.remove("y:2", in_use=nobody) == [
        {"Untagged": "y:2"},
        {"Deleted": image.id},
        {"Deleted": image.diff_ids[0]},
    ]
    assert not Path(image.lower[0]).exists()


async def test_an_id_with_names_in_two_repositories_must_be_forced(store: ImageStore) -> None:
    image = await made(store, "x:1")
    store.tag("x:1", "y:2")
    with pytest.raises(ImageInUse, match=r"\(must be forced\) - image is referenced in multiple"):
        store.remove(image.id, in_use=nobody)
    assert {"Deleted": image.id} in store.remove(image.id, force=True, in_use=nobody)


async def test_a_stopped_container_keeps_the_layers_of_a_forced_removal(store: ImageStore) -> None:
    image = await made(store)
    users = [ContainerUse("c" * 64, running=False)]
    with pytest.raises(ImageInUse) as refused:
        store.remove("x:1", in_use=lambda _: users)
    assert str(refused.value) == (
        'conflict: unable to remove repository reference "x:1" (must force) - '
        f"container cccccccccccc is using its referenced image {image.id[7:19]}"
    )

    records = store.remove("x:1", force=True, in_use=lambda _: users)

    assert records == [{"Untagged": "x:1"}, {"Deleted": image.id}]
    with pytest.raises(ImageNotFound):
        store.get(image.id)
    assert not store.list(all=True)
    assert Path(store.by_id(image.id).lower[0], "f").exists()
    assert store.collect(nobody) > 0
    assert not Path(image.lower[0]).exists()


async def test_a_running_container_cannot_be_forced_away(store: ImageStore) -> None:
    image = await made(store)
    users = [ContainerUse("c" * 64, running=True)]
    with pytest.raises(ImageInUse, match=r"\(cannot be forced\) - .* used by running container c{12}"):
        store.remove(image.id, force=True, in_use=lambda _: users)


async def child(store: ImageStore, parent: Image, upper: Path, ref: str) -> Image:
    upper.mkdir()
    (upper / ref.partition(":")[0]).write_bytes(b"new")
    return await store.commit(parent, str(upper), ref=ref)


async def test_a_name_goes_from_an_image_that_others_are_built_on(store: ImageStore, tmp_path: Path) -> None:
    parent = await made(store, "x:1")
    one = await child(store, parent, tmp_path / "upper1", "one:1")
    two = await child(store, parent, tmp_path / "upper2", "two:1")
    with pytest.raises(ImageInUse, match=r"\(cannot be forced\) - image has dependent child images"):
        store.remove(parent.id, force=True, in_use=nobody)

    assert store.remove("x:1", in_use=nobody) == [{"Untagged": "x:1"}]
    assert Path(parent.lower[0], "f").exists()
    first = store.remove("one:1", in_use=nobody)
    assert ({"Deleted": one.id} in first, {"Deleted": parent.id} in first) == (True, False)
    last = store.remove("two:1", in_use=nobody)
    assert ({"Deleted": two.id} in last, {"Deleted": parent.id} in last) == (True, True)
    assert not store.list(all=True)


@pytest.mark.parametrize("running", [True, False])
async def test_a_name_is_taken_by_force_from_an_image_in_use(
    store: ImageStore, tmp_path: Path, running: bool
) -> None:
    parent = await made(store, "x:1")
    await child(store, parent, tmp_path / "upper", "one:1")
    users = [ContainerUse("c" * 64, running=running)]
    assert store.remove("x:1", force=True, in_use=lambda _: users) == [{"Untagged": "x:1"}]
    assert store.get(parent.id).repo_tags == []


async def test_a_long_line_of_ancestors_goes_with_its_last(store: ImageStore, tmp_path: Path) -> None:
    image = await made(store, "x:1")
    store.catalog.drop_name("docker.io/library/x:1")
    layers = [Layer(row.diff, row.size) for row in store.catalog.layers(image.id)]
    for number in range(1200):
        document = msgspec.structs.replace(image.document, comment=str(number))
        image = store.register(configs.encode(document), layers, parent=image.id)
    records = store.remove(image.id, in_use=nobody)
    assert len([record for record in records if record.get("Deleted", "").startswith("sha256:")]) >= 1201
    assert store.images() == []


async def test_a_working_directory_of_a_change_is_cleaned(store: ImageStore) -> None:
    image = await made(store, changes=["WORKDIR /a/b/", "WORKDIR ../c"])
    assert image.config.working_dir == "/a/c"


async def test_filters(store: ImageStore) -> None:
    first = await made(store, "one/a:1", b"1", changes=["LABEL k=v"])
    second = await made(store, None, b"2")
    await made(store, "two/b:2", b"3")
    assert [image.id for image in store.list({"dangling": ["true"]})] == [second.id]
    assert [image.id for image in store.list({"label": ["k=v"]})] == [first.id]
    assert [image.id for image in store.list({"reference": ["one/*"]})] == [first.id]
    assert [image.repo_tags for image in store.list({"reference": ["*/*:2"]})] == [["two/b:2"]]
    assert [image.repo_tags for image in store.list({"reference": ["**w*o/*b*:2"]})] == [["two/b:2"]]
    assert [image.repo_tags for image in store.list({"reference": ["[.*t]wo/b"]})] == [["two/b:2"]]
    with pytest.raises(InvalidArgument, match=r"invalid filter 'reference=\[a': syntax error in pattern"):
        store.list({"reference": ["[a"]})
    with pytest.raises(InvalidArgument, match="invalid filter 'colour'"):
        store.list({"colour": ["red"]})


async def test_prune_takes_the_untagged_or_all_unused(store: ImageStore) -> None:
    kept = await made(store, "x:1", b"1")
    loose = await made(store, None, b"2")
    pruned = store.prune({}, nobody)
    assert {"Deleted": loose.id} in pruned.deleted
    assert pruned.reclaimed == 1
    assert {"Deleted": kept.id} in store.prune({"dangling": ["false"]}, nobody).deleted


async def test_a_restart_sweeps_what_a_crash_left(store: ImageStore, tmp_path: Path) -> None:
    image = await made(store)
    store.layers.draft()
    (tmp_path / "layers" / ("0" * 64) / "diff").mkdir(parents=True)
    (tmp_path / "blobs" / "sha256" / ("0" * 64)).write_bytes(b"x")

    again = ImageStore(str(tmp_path), store.catalog.db)

    assert not list((tmp_path / "tmp").iterdir())
    assert [path.name for path in (tmp_path / "layers").iterdir()] == [image.diff_ids[0][7:]]
    assert not list((tmp_path / "blobs" / "sha256").iterdir())
    assert again.get("x:1").id == image.id


async def test_a_ghost_goes_with_its_last_container(store: ImageStore) -> None:
    image = await made(store)
    users = [ContainerUse("a" * 64, False, "x:1")]
    store.remove("x:1", force=True, in_use=lambda _: users)
    store.release(image.id, lambda _: users)
    assert store.by_id(image.id).id == image.id
    users.clear()
    store.release(image.id, lambda _: users)
    with pytest.raises(ImageNotFound):
        store.by_id(image.id)
    assert not Path(image.lower[0]).exists()
