"""Pulling from the distribution registry, with images that skopeo put there."""

from __future__ import annotations

import hashlib
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.registry import registries
from tests.ports import free_port
from wharfie.errors import NotFound, Unavailable
from wharfie.images import tarsplit
from wharfie.images.distribution import Distribution
from wharfie.images.image import Image, RegistryAuth
from wharfie.images.registry.errors import RegistryDenied
from wharfie.images.store import ImageStore
from wharfie.state.db import Database

BASE = registries.layer({"etc/motd": b"hello\n" * 1000, "bin/sh": bytes(200_000)})
TOP = registries.layer({"etc/new": b"new", "etc/.wh.motd": b""})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with registries.registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(str(tmp_path / "root"), Database(":memory:"))


async def pull(store: ImageStore, name: str, **options: Any) -> Image:
    return await Distribution(store).pull(name, **options)


def asked(request: urllib.request.Request) -> tuple[bytes, str]:
    with urllib.request.urlopen(request) as answer:
        return answer.read(), answer.headers["Content-Type"]


def archive_digests(store: ImageStore, image: Image) -> list[str]:
    found = []
    for diff_id in image.diff_ids:
        total = hashlib.sha256()
        for piece in tarsplit.assemble(store.layers.directory(diff_id.removeprefix("sha256:"))):
            total.update(piece)
        found.append("sha256:" + total.hexdigest())
    return found


@pytest.mark.parametrize("options", [(), ("--dest-compress-format=zstd",), ("--format=v2s2",)])
async def test_every_format_is_pulled_whole(
    store: ImageStore, server: str, tmp_path: Path, options: tuple[str, ...]
) -> None:
    name = f"{server}/test/format{len(str(options))}:1"
    await registries.push(registries.layout(tmp_path / "layout", [BASE, TOP]), name, *options)
    messages: list[dict[str, object]] = []

    image = await pull(store, name, progress=messages.append)

    assert image.diff_ids == [registries.digest(BASE), registries.digest(TOP)]
    assert archive_digests(store, image) == image.diff_ids
    assert Path(image.lower[1], "etc/motd").read_bytes() == b"hello\n" * 1000
    assert Path(image.lower[0], "etc/new").read_bytes() == b"new"
    assert Path(image.lower[0], "etc/motd").is_char_device()
    assert image.repo_tags == [name]
    assert image.repo_digests[0].startswith(name.rpartition(":")[0] + "@sha256:")
    assert image.config.cmd == ["sh"]
    words = [str(message["status"]) for message in messages]
    assert words[0] == f"Pulling from {name.partition('/')[2].rpartition(':')[0]}"
    assert words[-1] == f"Status: Downloaded newer image for {name}"
    assert words[-2].startswith("Digest: sha256:")
    for word in (
        "Pulling fs layer",
        "Verifying Checksum",
        "Download complete",
        "Extracting",
        "Pull complete",
    ):
        assert words.count(word) == 2
    assert not list(Path(store.layers.blob("sha256:x")).parent.parent.parent.joinpath("tmp").iterdir())


async def test_a_second_pull_is_up_to_date_and_by_digest_too(
    store: ImageStore, server: str, tmp_path: Path
) -> None:
    name = f"{server}/test/again:1"
    await registries.push(registries.layout(tmp_path / "layout", [BASE]), name)
    first = await pull(store, name, progress=lambda _: None)
    messages: list[dict[str, object]] = []

    second = await pull(store, name, progress=messages.append)
    third = await pull(store, first.repo_digests[0], progress=lambda _: None)

    assert second.id == first.id == third.id
    assert messages[-1]["status"] == f"Status: Image is up to date for {name}"


async def test_a_layer_that_is_here_is_not_fetched(store: ImageStore, server: str, tmp_path: Path) -> None:
    await registries.push(registries.layout(tmp_path / "one", [BASE]), f"{server}/test/one:1")
    await registries.push(registries.layout(tmp_path / "two", [BASE, TOP]), f"{server}/test/two:1")
    one = await pull(store, f"{server}/test/one:1", progress=lambda _: None)
    messages: list[dict[str, object]] = []

    two = await pull(store, f"{server}/test/two:1", progress=messages.append)

    assert [message["status"] for message in messages].count("Already exists") == 1
    assert two.lower[-1] == one.lower[-1]
    gone = store.remove(one.id, in_use=lambda _: [])
    assert {"Deleted": registries.digest(BASE)} not in gone
    assert Path(two.lower[-1], "bin/sh").exists()


async def test_the_build_for_the_platform_is_chosen(store: ImageStore, server: str, tmp_path: Path) -> None:
    entries = []
    for architecture in ("arm64", "amd64"):
        name = f"{server}/test/multi:{architecture}"
        await registries.push(
            registries.layout(tmp_path / architecture, [BASE], architecture), name, "--preserve-digests"
        )
        request = urllib.request.Request(
            f"http://{server}/v2/test/multi/manifests/{architecture}",
            headers={"Accept": "application/vnd.oci.image.manifest.v1+json"},
        )
        body, media = asked(request)
        entries.append(
            {
                "mediaType": media,
                "digest": registries.digest(body),
                "size": len(body),
                "platform": {"os": "linux", "architecture": architecture},
            }
        )
    media = "application/vnd.oci.image.index.v1+json"
    index = json.dumps({"schemaVersion": 2, "mediaType": media, "manifests": entries}).encode()
    asked(
        urllib.request.Request(
            f"http://{server}/v2/test/multi/manifests/all",
            data=index,
            method="PUT",
            headers={"Content-Type": media},
        )
    )

    arm = await pull(store, f"{server}/test/multi:all", platform="linux/arm64", progress=lambda _: None)
    amd = await pull(store, f"{server}/test/multi:all", platform="linux/amd64", progress=lambda _: None)

    assert (arm.architecture, amd.architecture) == ("arm64", "amd64")
    assert amd.repo_digests == [f"{server}/test/multi@{registries.digest(index)}"]
    with pytest.raises(NotFound, match="no matching manifest for linux/s390x in the manifest list entries"):
        await pull(store, f"{server}/test/multi:all", platform="linux/s390x", progress=lambda _: None)


async def test_an_unknown_tag_is_told(store: ImageStore, server: str) -> None:
    with pytest.raises(NotFound, match=r"manifest for .*/test/none:7 not found: manifest unknown"):
        await pull(store, f"{server}/test/none:7", progress=lambda _: None)


async def test_a_dead_registry_is_named_with_the_way_out(store: ImageStore) -> None:
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(Unavailable, match=rf"{address} cannot be reached.*wharfie image bootstrap debian"):
        await pull(store, f"{address}/debian", progress=lambda _: None)


async def test_basic_authentication(store: ImageStore, tmp_path: Path) -> None:
    # bcrypt of "pass"
    (tmp_path / "htpasswd").write_text(registries.htpasswd("user", "pass"))
    extra = f"auth:\n  htpasswd: {{realm: test, path: {tmp_path}/htpasswd}}\n"
    with registries.registry(tmp_path, extra) as address:
        name = f"{address}/private/image:1"
        await registries.push(registries.layout(tmp_path / "layout", [BASE]), name, "--dest-creds=user:pass")

        with pytest.raises(RegistryDenied, match=r"pull access denied for .*/private/image"):
            await pull(store, name, progress=lambda _: None)
        with pytest.raises(RegistryDenied):
            await pull(store, name, auth=RegistryAuth("user", "wrong"), progress=lambda _: None)
        image = await pull(store, name, auth=RegistryAuth("user", "pass"), progress=lambda _: None)

    assert image.repo_tags == [name]
