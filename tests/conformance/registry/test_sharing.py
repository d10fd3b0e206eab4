"""Pulls beside each other and one after the other: nothing is fetched twice, nothing broken off is lost."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests import ours
from tests.conformance.registry.registries import digest, layer
from tests.ports import free_port
from wharfie.errors import NotSupported, Unavailable
from wharfie.images import leftovers
from wharfie.images.distribution import Distribution
from wharfie.images.registry import transport
from wharfie.images.registry.settings import Settings
from wharfie.images.store import ImageStore
from wharfie.state.db import Database
from wharfie.support.tasks import spawn

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Counting:
    """A registry of images that overlap; it counts, and it can be stopped in the middle of a blob."""

    def __init__(self, images: int) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}
        self.asked: Counter[str] = Counter()
        self.ranges: list[str] = []
        self.halfway: Callable[[web.StreamResponse, bytes], Any] | None = None
        self.special: Callable[[web.Request], web.StreamResponse | None] = lambda _: None
        archives = [layer({f"f{at}": os.urandom(200_000)}) for at in range(images + 2)]
        for at in range(images):
            self.manifests[f"image{at}"] = self.image(archives[at : at + 3])

    def put(self, data: bytes) -> dict[str, Any]:
        self.blobs[digest(data)] = data
        return {"digest": digest(data), "size": len(data)}

    def image(self, archives: list[bytes]) -> bytes:
        config = {
            "os": "linux",
            "architecture": "amd64",
            "rootfs": {"type": "layers", "diff_ids": [digest(one) for one in archives]},
        }
        kind = "application/vnd.oci.image.layer.v1.tar+gzip"
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                **self.put(json.dumps(config).encode()),
            },
            "layers": [{"mediaType": kind, **self.put(gzip.compress(one, 1, mtime=0))} for one in archives],
        }
        return json.dumps(manifest).encode()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        special = self.special(request)
        if special is not None:
            return special
        _, _, what = request.path.partition("/v2/")
        if "/manifests/" in what:
            return web.Response(body=self.manifests[what.split("/")[0]], headers={"Content-Type": MANIFEST})
        if "/blobs/" not in what:
            return web.Response()
        name = what.rpartition("/")[2]
        self.asked[name] += 1
        data, start = self.blobs[name], 0
        if "Range" in request.headers:
            self.ranges.append(request.headers["Range"])
            start = int(request.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        if self.halfway is None or len(data) < 100_000:
            return web.Response(status=206 if start else 200, body=data[start:])
        response = web.StreamResponse(headers={"Content-Length": str(len(data))})
        await response.prepare(request)
        await response.write(data[: len(data) // 2])
        await self.halfway(response, data)
        return response


@asynccontextmanager
async def serving(registry: Counting) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{any:.*}", registry.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await runner.cleanup()


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(str(tmp_path), Database(":memory:"))


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_BACKOFF", 0.001)


def on_disk(store: ImageStore) -> set[str]:
    top = Path(store.layers.directory("")).parent
    return {str(path.relative_to(top)) for kind in ("layers", "tmp", "blobs/sha256")
            for path in (top / kind).iterdir()}  # fmt: skip


async def test_twenty_pulls_fetch_each_blob_once(store: ImageStore) -> None:
    registry = Counting(10)
    distribution = Distribution(store)
    async with serving(registry) as address:
        told: list[list[dict[str, Any]]] = [[] for _ in range(20)]
        images = await asyncio.gather(
            *(distribution.pull(f"{address}/image{at % 10}:1", progress=told[at].append) for at in range(20))
        )
    assert len({image.id for image in images}) == 10
    assert len(registry.asked) == 12 + 10
    assert set(registry.asked.values()) == {1}
    for messages in told:
        assert "Downloaded newer image" in messages[-1]["status"] or "up to date" in messages[-1]["status"]


def _arrived(store: ImageStore) -> int:
    """Bytes of the blob that is being fetched."""
    drafts = Path(store.layers.directory("")).parent / "tmp"
    return max((found.st_size for path, found in ours.below(drafts) if path.suffix == ".blob"), default=0)


async def test_a_pull_that_was_given_up_is_taken_up_where_it_stopped(store: ImageStore) -> None:
    registry = Counting(1)
    half = asyncio.Event()
    count = 0

    async def stop(response: web.StreamResponse, data: bytes) -> None:
        nonlocal count
        count += 1
        if count < 3:
            await response.write(data[len(data) // 2 :])
            return
        half.set()
        await asyncio.sleep(60)

    registry.halfway = stop
    distribution = Distribution(store, Settings(downloads=1))
    async with serving(registry) as address:
        arrived: list[dict[str, Any]] = []
        two = asyncio.Event()

        def progress(message: dict[str, Any]) -> None:
            arrived.append(message)
            if sum(one["status"] == "Pull complete" for one in arrived) == 2:
                two.set()

        first = spawn("first", distribution.pull(f"{address}/image0:1", progress=progress))
        await asyncio.gather(half.wait(), two.wait())
        # less than that is not worth keeping
        await asyncio.to_thread(ours.until, lambda: _arrived(store) >= leftovers.LEAST, "nothing arrives")
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert not store.list(all=True)
        assert any("begun" in path for path in on_disk(store))
        registry.halfway = None
        fetched = Counter(registry.asked)
        told: list[dict[str, Any]] = []

        image = await distribution.pull(f"{address}/image0:1", progress=told.append)

    words = [message["status"] for message in told]
    assert words.count("Already exists") == 2
    assert words.count("Pull complete") == 1
    again = registry.asked - fetched
    assert sum(count for name, count in again.items() if len(registry.blobs[name]) > 100_000) == 1
    assert len(registry.ranges) == 1
    assert int(registry.ranges[0].removeprefix("bytes=").removesuffix("-")) >= leftovers.LEAST
    assert Path(image.lower[0], "f2").stat().st_size == 200_000
    assert not any("begun" in path for path in on_disk(store))
    assert not store.spared


async def test_one_that_gives_up_does_not_stop_the_other(store: ImageStore) -> None:
    registry = Counting(1)
    half, go_on = asyncio.Event(), asyncio.Event()

    async def stop(response: web.StreamResponse, data: bytes) -> None:
        half.set()
        await go_on.wait()
        await response.write(data[len(data) // 2 :])

    registry.halfway = stop
    distribution = Distribution(store)
    async with serving(registry) as address:
        joined = asyncio.Event()

        def progress(message: dict[str, Any]) -> None:
            if message["status"] == "Downloading":
                joined.set()

        first = spawn("first", distribution.pull(f"{address}/image0:1", progress=lambda _: None))
        second = spawn("second", distribution.pull(f"{address}/image0:1", progress=progress))
        await asyncio.gather(half.wait(), joined.wait())
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        go_on.set()
        image = await second
    assert len(image.lower) == 3
    assert set(registry.asked.values()) == {1}


async def test_a_registry_that_asks_for_patience_gets_it(
    store: ImageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Counting(1)
    slept: list[float] = []
    asked = 0

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    def special(request: web.Request) -> web.StreamResponse | None:
        nonlocal asked
        if "/manifests/" not in request.path:
            return None
        asked += 1
        return web.Response(status=429, headers={"Retry-After": "7"}) if asked < 3 else None

    registry.special = special
    async with serving(registry) as address:
        monkeypatch.setattr(transport.asyncio, "sleep", sleep)
        await Distribution(store).pull(f"{address}/image0:1", progress=lambda _: None)
        assert [seconds for seconds in slept if seconds >= 5] == [7, 7]
        registry.special = lambda request: web.json_response(
            {"errors": [{"code": "TOOMANYREQUESTS", "message": "slow down"}]},
            status=429,
            headers={"Retry-After": "3600"},
        )
        with pytest.raises(Unavailable, match=r"come again in 3600 seconds: toomanyrequests: slow down"):
            await Distribution(store).pull(f"{address}/image0:2", progress=lambda _: None)


async def test_an_artifact_is_no_image_and_its_referrers_are_listed(store: ImageStore) -> None:
    registry = Counting(1)
    subject = registry.manifests["image0"]
    kind = "application/vnd.example.sbom.v1"
    registry.manifests["artifact"] = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": kind,
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", **registry.put(b"{}")},
            "layers": [{"mediaType": "text/plain", **registry.put(b"a bill")}],
        }
    ).encode()
    index = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [
            {"mediaType": MANIFEST, "digest": digest(b"1"), "size": 1, "artifactType": kind},
            {"mediaType": MANIFEST, "digest": digest(b"2"), "size": 2, "artifactType": "other"},
        ],
    }
    paths: list[str] = []

    def special(request: web.Request) -> web.StreamResponse | None:
        paths.append(request.path_qs)
        return web.json_response(index) if "/referrers/" in request.path else None

    registry.special = special
    async with serving(registry) as address:
        with pytest.raises(NotSupported, match=f"no container image but an OCI artifact of type {kind}"):
            await Distribution(store).pull(f"{address}/artifact:1", progress=lambda _: None)
        found = await Distribution(store).referrers(f"{address}/image0:1", "", None)
        assert (found[0], [one.artifact_type for one in found[1]]) == (digest(subject), [kind, "other"])
        _, chosen = await Distribution(store).referrers(f"{address}/image0:1", kind, None)
        assert [one.digest for one in chosen] == [digest(b"1")]
    assert f"/v2/image0/referrers/{digest(subject)}" in paths
