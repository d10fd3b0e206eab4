"""Registries that lie, ask for credentials they must not get, or send more than they said."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.conformance.registry.registries import digest, layer
from tests.ports import free_port
from wharfie.errors import InvalidArgument, NotSupported, Unauthorized
from wharfie.images.distribution import Distribution
from wharfie.images.image import RegistryAuth
from wharfie.images.registry import transport as client
from wharfie.images.registry.auth import Authorizer
from wharfie.images.registry.errors import RegistryDenied
from wharfie.images.registry.settings import is_insecure
from wharfie.images.store import ImageStore
from wharfie.state.db import Database

ARCHIVE = layer({"f": b"content" * 1000})
BLOB = gzip.compress(ARCHIVE, mtime=0)
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
AUTH = RegistryAuth("me", "secret")


class Liar:
    """A registry of one image, which tests bend."""

    def __init__(self) -> None:
        config = {
            "os": "linux",
            "architecture": "amd64",
            "rootfs": {"type": "layers", "diff_ids": [digest(ARCHIVE)]},
        }
        self.config = json.dumps(config).encode()
        self.blobs = {digest(BLOB): BLOB, digest(self.config): self.config}
        self.manifest: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": digest(self.config),
                "size": len(self.config),
            },
            "layers": [
                {
                    "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                    "digest": digest(BLOB),
                    "size": len(BLOB),
                }
            ],
        }
        self.media = MANIFEST
        self.seen: list[tuple[str, str]] = []
        self.special: Callable[[web.Request], web.StreamResponse | None] = lambda _: None
        self.address = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append((f"{request.host}{request.path}", request.headers.get("Authorization", "")))
        special = self.special(request)
        if special is not None:
            return special
        if "/manifests/" in request.path:
            return web.Response(body=json.dumps(self.manifest).encode(), headers={"Content-Type": self.media})
        if "/blobs/" in request.path:
            return web.Response(body=self.blobs[request.path.rpartition("/")[2]])
        return web.Response()


@asynccontextmanager
async def serving(liar: Liar) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{any:.*}", liar.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    liar.address = f"127.0.0.1:{port}"
    try:
        yield liar.address
    finally:
        await runner.cleanup()


@pytest.fixture
def liar() -> Liar:
    return Liar()


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(str(tmp_path), Database(":memory:"))


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_BACKOFF", 0.001)


async def pull(store: ImageStore, address: str, tag: str = "1", auth: RegistryAuth | None = None) -> None:
    await Distribution(store).pull(f"{address}/a/b:{tag}", auth=auth, progress=lambda _: None)


async def refused(
    store: ImageStore, liar: Liar, tmp_path: Path, kind: type[Exception] = InvalidArgument
) -> str:
    async with serving(liar) as address:
        with pytest.raises(kind) as error:
            await pull(store, address)
    assert not store.list(all=True)
    for name in ("layers", "tmp", "blobs/sha256"):
        assert not list((tmp_path / name).iterdir())
    return str(error.value)


async def test_the_honest_one_is_pulled(store: ImageStore, liar: Liar) -> None:
    async with serving(liar) as address:
        await pull(store, address)
    assert store.list()[0].id == digest(liar.config)


async def test_another_layer_than_promised(store: ImageStore, liar: Liar, tmp_path: Path) -> None:
    evil = gzip.compress(layer({"f": b"EVIL678" * 1000}), mtime=0)
    liar.blobs[digest(BLOB)] = evil + bytes(max(0, len(BLOB) - len(evil)))
    liar.manifest["layers"][0]["size"] = len(liar.blobs[digest(BLOB)])
    assert "verification failed" in await refused(store, liar, tmp_path)


async def test_a_layer_whose_archive_is_not_the_configurations(
    store: ImageStore, liar: Liar, tmp_path: Path
) -> None:
    evil = gzip.compress(layer({"f": b"evil"}), mtime=0)
    liar.blobs[digest(evil)] = evil
    liar.manifest["layers"][0] |= {"digest": digest(evil), "size": len(evil)}
    assert "verification failed" in await refused(store, liar, tmp_path)


async def test_another_configuration_than_promised(store: ImageStore, liar: Liar, tmp_path: Path) -> None:
    liar.blobs[digest(liar.config)] = liar.config.replace(b"amd64", b"evil0")
    assert "verification failed" in await refused(store, liar, tmp_path)


async def test_a_layer_longer_than_promised(store: ImageStore, liar: Liar, tmp_path: Path) -> None:
    liar.blobs[digest(BLOB)] = BLOB + bytes(1 << 20)
    assert "longer than its manifest says" in await refused(store, liar, tmp_path)


async def test_another_manifest_than_asked_for_by_digest(store: ImageStore, liar: Liar) -> None:
    async with serving(liar) as address:
        with pytest.raises(InvalidArgument, match="manifest verification failed"):
            await Distribution(store).pull(f"{address}/a/b@sha256:{'0' * 64}", progress=lambda _: None)


async def test_a_manifest_of_two_kinds(store: ImageStore, liar: Liar, tmp_path: Path) -> None:
    liar.manifest["manifests"] = []
    assert "ambiguous" in await refused(store, liar, tmp_path)


async def test_a_manifest_that_comes_as_another_type(store: ImageStore, liar: Liar, tmp_path: Path) -> None:
    liar.media = "application/vnd.oci.image.index.v1+json"
    assert "calls itself" in await refused(store, liar, tmp_path)


async def test_schema_1(store: ImageStore, liar: Liar, tmp_path: Path) -> None:
    liar.manifest = {"schemaVersion": 1, "fsLayers": [], "history": []}
    liar.media = "application/vnd.docker.distribution.manifest.v1+prettyjws"
    assert "schema 1" in await refused(store, liar, tmp_path, NotSupported)


async def test_a_manifest_without_end(store: ImageStore, liar: Liar, tmp_path: Path) -> None:
    liar.manifest["annotations"] = {"x": "y" * (5 << 20)}
    assert "longer than" in await refused(store, liar, tmp_path)


async def test_a_digest_that_is_a_path(store: ImageStore, liar: Liar, tmp_path: Path) -> None:
    liar.manifest["layers"][0]["digest"] = "sha256:../../../../etc/passwd"
    assert "invalid digest" in await refused(store, liar, tmp_path)


async def test_credentials_do_not_follow_a_redirect(store: ImageStore, liar: Liar) -> None:
    other = Liar()
    async with serving(other) as elsewhere, serving(liar) as address:

        def special(request: web.Request) -> web.StreamResponse | None:
            if not request.headers.get("Authorization"):
                return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'})
            if "/blobs/" in request.path:
                raise web.HTTPTemporaryRedirect(f"http://{elsewhere}{request.path}")
            return None

        liar.special = special
        await pull(store, address, auth=AUTH)
    assert any(authorization for _, authorization in liar.seen)
    assert other.seen
    assert not any(authorization for _, authorization in other.seen)


async def test_a_token_is_fetched_with_the_password_and_used(store: ImageStore, liar: Liar) -> None:
    def special(request: web.Request) -> web.StreamResponse | None:
        given = request.headers.get("Authorization", "")
        if request.path == "/token":
            expected = "Basic " + base64.b64encode(b"me:secret").decode()
            assert request.query["scope"] == "repository:a/b:pull"
            assert request.query["service"] == "reg"
            return web.json_response({"token": "t0ken"} if given == expected else {}, status=200)
        if given != "Bearer t0ken":
            challenge = (
                f'Bearer realm="http://{liar.address}/token",service="reg",scope="repository:a/b:pull"'
            )
            return web.Response(status=401, headers={"WWW-Authenticate": challenge})
        return None

    liar.special = special
    async with serving(liar) as address:
        await pull(store, address, auth=AUTH)
        with pytest.raises(Unauthorized):
            await pull(store, address, tag="2")
    passwords = [path for path, authorization in liar.seen if authorization.startswith("Basic")]
    assert set(passwords) == {f"{liar.address}/token"}


async def test_a_token_is_not_fetched_in_the_clear_for_a_tls_registry() -> None:
    challenge = 'Bearer realm="http://127.0.0.1:1/token"'
    asking = Authorizer(None, AUTH, host="example.com", clear=False)  # type: ignore[arg-type]
    with pytest.raises(RegistryDenied, match="in the clear"):
        await asking.answer([challenge], ("scope",), "")


async def test_a_connection_that_breaks_is_taken_up_where_it_broke(store: ImageStore, liar: Liar) -> None:
    ranges: list[str] = []

    def special(request: web.Request) -> web.StreamResponse | None:
        if not request.path.endswith(digest(BLOB)):
            return None
        wanted = request.headers.get("Range", "")
        ranges.append(wanted)
        if not wanted:
            return web.Response(body=BLOB[:40])
        start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        return web.Response(status=206, body=BLOB[start:])

    liar.special = special
    async with serving(liar) as address:
        await pull(store, address)
    assert ranges == ["", "bytes=40-"]


def test_only_loopback_and_configured_registries_are_insecure() -> None:
    for domain in ("localhost:5000", "127.0.0.1", "127.9.9.9:80", "[::1]:5000"):
        assert is_insecure(domain)
    for domain in ("docker.io", "localhost.evil.com", "127.0.0.1.evil.com", "10.0.0.1:5000", "example.com"):
        assert not is_insecure(domain)
    assert is_insecure("10.0.0.1:5000", ["10.0.0.0/8"])
    assert is_insecure("registry.lan:5000", ["registry.lan:5000"])
