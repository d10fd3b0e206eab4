"""Registries that lead astray, never end, or ask for what is not theirs: push, mirrors, proxies, time."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.conformance.registry.registries import digest, layer
from tests.security.test_images_registry import AUTH, BLOB, Liar, serving
from wharfie.errors import InvalidArgument, Unauthorized, Unavailable
from wharfie.images import limits
from wharfie.images.distribution import Distribution
from wharfie.images.image import RegistryAuth
from wharfie.images.registry import repository, transport
from wharfie.images.registry.errors import RegistryDenied
from wharfie.images.registry.settings import Endpoint, Proxies, Settings
from wharfie.images.registry.transport import Transport
from wharfie.images.store import ImageStore
from wharfie.state.db import Database


@pytest.fixture
def liar() -> Liar:
    return Liar()


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(str(tmp_path), Database(":memory:"))


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_BACKOFF", 0.001)


async def pull(store: ImageStore, address: str, settings: Settings | None = None, **more: Any) -> None:
    await Distribution(store, settings).pull(f"{address}/a/b:1", progress=lambda _: None, **more)


async def imported(store: ImageStore, name: str) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield layer({"f": bytes(300_000)})

    await store.import_image(pieces(), ref=name)


def nothing_left(directory: Path) -> bool:
    return not any(list((directory / name).iterdir()) for name in ("layers", "tmp", "blobs/sha256"))


async def test_a_blob_that_trickles_is_given_up(
    store: ImageStore, liar: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository, "_WINDOW", 0.05)
    monkeypatch.setattr(repository, "SLOWEST", 1 << 30)
    trickling = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal trickling
        if not request.path.endswith(digest(BLOB)):
            return await Liar.answer(liar, request)
        trickling += 1
        response = web.StreamResponse(headers={"Content-Length": str(len(BLOB))})
        await response.prepare(request)
        for at in range(len(BLOB)):
            await response.write(BLOB[at : at + 1])
            await asyncio.sleep(0.01)
        return response

    monkeypatch.setattr(liar, "answer", answer)
    async with serving(liar) as address:
        with pytest.raises(Unavailable, match="no answer in time"):
            await pull(store, address, Settings(attempts=2))
    assert trickling == 2
    assert not store.list(all=True)


async def test_a_manifest_that_trickles_is_given_up(
    store: ImageStore, liar: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "_SMALL_SECONDS", 0.05)
    held = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        if "/manifests/" not in request.path:
            return await Liar.answer(liar, request)
        response = web.StreamResponse(headers={"Content-Type": liar.media})
        await response.prepare(request)
        await response.write(b"{")
        await held.wait()
        return response

    monkeypatch.setattr(liar, "answer", answer)
    async with serving(liar) as address:
        with pytest.raises(Unavailable, match="no answer in time"):
            await pull(store, address, Settings(attempts=2))
        held.set()


async def test_a_bomb_does_not_unpack(
    store: ImageStore, liar: Liar, tmp_path: Path, monkeypatch: Any
) -> None:

    monkeypatch.setattr(limits, "RATIO_FROM", 1 << 20)
    monkeypatch.setattr(limits, "RATIO", 50)
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = packer.compress(layer({"bomb": bytes(32 << 20)})) + packer.flush()
    liar.blobs[digest(bomb)] = bomb
    liar.manifest["layers"][0] |= {"digest": digest(bomb), "size": len(bomb)}
    async with serving(liar) as address:
        with pytest.raises(InvalidArgument, match="which only a bomb does"):
            await pull(store, address)
    assert not store.list(all=True)


@pytest.mark.parametrize(
    "document",
    [b"", b"[]", b"{", b'{"schemaVersion": 2}', b"\xff\xfe", b"[" * 100_000, b'{"schemaVersion": "2"}',
     b'{"schemaVersion": 2, "config": {"digest": 7, "size": 1}, "layers": []}',
     b'{"schemaVersion": 2, "config": {"digest": "sha256:00", "size": -1}, "layers": []}'],
)  # fmt: skip
async def test_a_document_that_is_no_manifest(
    store: ImageStore, liar: Liar, tmp_path: Path, document: bytes
) -> None:
    def special(request: web.Request) -> web.StreamResponse | None:
        if "/manifests/" not in request.path:
            return None
        return web.Response(body=document, headers={"Content-Type": liar.media})

    liar.special = special
    async with serving(liar) as address:
        with pytest.raises(InvalidArgument):
            await pull(store, address)
    assert nothing_left(tmp_path)


@pytest.mark.parametrize("media", ["text/html", "x" * 5000, "application/json; charset=;;=", ""])
async def test_a_type_that_is_none_of_ours(store: ImageStore, liar: Liar, media: str) -> None:
    """The document says itself what it is; the header may not contradict it, and may say nothing."""
    liar.media = media
    async with serving(liar) as address:
        await pull(store, address)
    assert len(store.list()) == 1


async def test_redirects_without_end(store: ImageStore, liar: Liar) -> None:
    def special(request: web.Request) -> web.StreamResponse | None:
        if "/blobs/" in request.path:
            raise web.HTTPTemporaryRedirect(request.path)
        return None

    liar.special = special
    async with serving(liar) as address:
        with pytest.raises(RegistryDenied, match="from one address to the next without end"):
            await pull(store, address)


def test_an_encrypted_registry_leads_to_nothing_in_the_clear() -> None:
    place = Transport(Endpoint("example.com"), Settings(), None)
    place.base = "https://example.com"
    assert place.address("a/b") == "https://example.com/v2/a/b"
    assert place.address("https://elsewhere.com/x") == "https://elsewhere.com/x"
    for bad in ("http://example.com/x", "ftp://example.com/x", "file:///etc/passwd"):
        with pytest.raises(RegistryDenied, match="unencrypted"):
            place.address(bad)


async def test_an_upload_elsewhere_gets_no_credentials(store: ImageStore, liar: Liar) -> None:
    other = Liar()
    taken: list[str] = []

    async with serving(other) as elsewhere, serving(liar) as address:

        def special(request: web.Request) -> web.StreamResponse | None:
            if not request.headers.get("Authorization"):
                return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'})
            if request.method == "HEAD":
                return web.Response(status=404)
            if request.method == "POST":
                return web.Response(status=202, headers={"Location": f"http://{elsewhere}/upload"})
            return web.Response(status=201)

        def there(request: web.Request) -> web.StreamResponse | None:
            taken.append(request.method)
            status = 202 if request.method == "PATCH" else 201
            return web.Response(status=status, headers={"Location": f"http://{elsewhere}/upload"})

        liar.special, other.special = special, there
        name = f"{address}/a/b:1"
        await imported(store, name)
        await Distribution(store).push(name, auth=AUTH, progress=lambda _: None)
    assert sorted(taken) == ["PATCH", "PUT", "PUT"]
    assert not any(authorization for _, authorization in other.seen)


async def test_a_place_we_were_led_to_cannot_ask_for_credentials(store: ImageStore, liar: Liar) -> None:
    other = Liar()
    async with serving(other) as elsewhere, serving(liar) as address:

        def special(request: web.Request) -> web.StreamResponse | None:
            if "/blobs/" in request.path:
                raise web.HTTPTemporaryRedirect(f"http://{elsewhere}{request.path}")
            return None

        liar.special = special
        other.special = lambda _: web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'})
        with pytest.raises(Unauthorized):
            await pull(store, address, auth=AUTH)
    assert not any(authorization for _, authorization in other.seen + liar.seen)


async def test_a_mirror_is_asked_first_and_told_no_secret(
    store: ImageStore, liar: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    def special(request: web.Request) -> web.StreamResponse | None:
        if request.headers.get("Authorization") or "/v2/library/x/" in request.path or request.path == "/v2/":
            return None
        return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'})

    liar.special = special
    async with serving(liar) as address:
        settings = Settings(mirrors=(f"http://{address}",), attempts=1)
        image = await Distribution(store, settings).pull("x:1", auth=AUTH, progress=lambda _: None)
        assert image.repo_tags == ["x:1"]
        assert not any(authorization for _, authorization in liar.seen)

        # one that fails is passed over: the registry itself is asked
        own = Endpoint(address, ("http",), insecure=True)
        monkeypatch.setattr(Settings, "endpoint", lambda *_, **__: own)
        dead = Settings(mirrors=("http://127.0.0.1:1",), attempts=1)
        await Distribution(store, dead).pull("x:2", progress=lambda _: None)
        assert store.get("x:2").id == image.id


async def test_a_token_is_not_used_for_another_scope(store: ImageStore, liar: Liar) -> None:
    scopes: list[list[str]] = []

    def special(request: web.Request) -> web.StreamResponse | None:
        if request.path == "/token":
            scopes.append(request.query.getall("scope", []))
            return web.json_response({"token": "for-" + "-".join(scopes[-1]).replace(":", ".")})
        if not request.headers.get("Authorization"):
            challenge = f'Bearer realm="http://{liar.address}/token",service="s"'
            return web.Response(status=401, headers={"WWW-Authenticate": challenge})
        if request.method == "HEAD":
            return web.Response(status=404)
        if request.method == "POST":
            return web.Response(status=202, headers={"Location": "/v2/upload/1"})
        if request.method in ("PATCH", "PUT"):
            return web.Response(
                status=202 if request.method == "PATCH" else 201, headers={"Location": "/v2/upload/1"}
            )
        return None

    liar.special = special
    async with serving(liar) as address:
        name = f"{address}/a/b:1"
        await pull(store, address)
        await imported(store, name)
        await Distribution(store).push(name, progress=lambda _: None)
    assert scopes == [["repository:a/b:pull"], ["repository:a/b:pull,push"]]


async def test_an_upload_that_breaks_goes_on_where_it_broke(store: ImageStore, liar: Liar) -> None:
    got = bytearray()
    steps: list[tuple[str, int]] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        where = {"Location": "/v2/a/b/blobs/uploads/1"}
        if request.method == "HEAD":
            return web.Response(status=404)
        if request.method == "POST":
            return web.Response(status=202, headers=where)
        if request.method == "PATCH":
            async for piece in request.content.iter_any():
                got.extend(piece)
                if len(steps) == 0 and len(got) > 100_000:
                    steps.append(("broken", len(got)))
                    assert request.transport is not None
                    request.transport.abort()
                    return web.Response(status=500)
            steps.append(("PATCH", len(got)))
            return web.Response(status=202, headers=where)
        if request.method == "GET" and "uploads" in request.path:
            steps.append(("GET", len(got)))
            return web.Response(status=204, headers={**where, "Range": f"0-{len(got) - 1}"})
        if request.method == "PUT" and "uploads" in request.path and "digest" in request.query:
            if "PATCH" in [step for step, _ in steps] and request.query["digest"] == digest(bytes(got)):
                steps.append(("PUT", len(got)))
            return web.Response(status=201)
        return web.Response(status=201 if request.method == "PUT" else 200)

    liar.answer = answer  # type: ignore[method-assign]
    async with serving(liar) as address:
        name = f"{address}/a/b:1"

        async def pieces() -> AsyncIterator[bytes]:
            yield layer({"f": os.urandom(3_000_000)})

        await store.import_image(pieces(), ref=name)
        await Distribution(store).push(name, progress=lambda _: None)
    assert [step for step, _ in steps] == ["broken", "GET", "PATCH", "PUT"]
    assert gzip.decompress(bytes(got)).startswith(b"f\0")


async def test_search_answers_are_filtered_and_bounded(store: ImageStore, liar: Liar) -> None:
    asked: list[dict[str, str]] = []

    def special(request: web.Request) -> web.StreamResponse | None:
        if request.path != "/v1/search":
            return None
        asked.append(dict(request.query))
        found = [
            {"name": "a", "star_count": 5, "is_official": True, "description": None},
            {"name": "b", "star_count": 1, "is_official": False, "description": "two\nlines"},
        ]
        return web.Response(text=json.dumps({"results": found}))

    liar.special = special
    distribution = Distribution(store, Settings(attempts=1))
    async with serving(liar) as address:
        found = await distribution.search(f"{address}/debian", None, {}, None)
        assert [one.name for one in found] == ["a", "b"]
        assert asked[0]["q"] == "debian"
        for filters, names in (
            ({"stars": ["3"]}, ["a"]), ({"is-official": ["false"]}, ["b"]), ({"stars": ["9"]}, []),
        ):  # fmt: skip
            chosen = await distribution.search(f"{address}/debian", None, filters, None)
            assert [one.name for one in chosen] == names
        assert len(await distribution.search(f"{address}/debian", 1, {}, None)) == 1
        liar.special = lambda _: web.Response(body=b"x" * (5 << 20))
        with pytest.raises(InvalidArgument, match="longer than"):
            await distribution.search(f"{address}/debian", None, {}, None)


async def test_proxies_see_what_is_for_them_only(store: ImageStore) -> None:
    proxy = Liar()
    seen: list[str] = []

    def special(request: web.Request) -> web.StreamResponse | None:
        seen.append(str(request.url))
        return None

    proxy.special = special
    async with serving(proxy) as address:
        settings = Settings(
            proxies=Proxies(http=f"http://{address}", bypass="no.test"), insecure=("reg.test", "no.test"),
            attempts=1,
        )  # fmt: skip
        await Distribution(store, settings).pull("reg.test/a/b:1", progress=lambda _: None)
        assert seen
        assert all(url.startswith("http://reg.test/") for url in seen)
        seen.clear()
        with pytest.raises(Unavailable):
            await Distribution(store, settings).pull("no.test/a/b:1", progress=lambda _: None)
        assert not seen


@pytest.mark.parametrize(
    ("bypass", "url", "goes_through"),
    [
        ("", "http://example.com/", True),
        ("", "http://127.0.0.1:5000/", False),
        ("", "http://localhost/", False),
        ("example.com", "http://example.com/", False),
        ("example.com", "http://a.example.com/", False),
        (".example.com", "http://example.com/", True),
        ("example.com", "http://badexample.com/", True),
        ("example.com:81", "http://example.com/", True),
        ("example.com:80", "http://example.com/", False),
        ("10.0.0.0/8", "http://10.2.3.4:5000/", False),
        ("10.0.0.0/8", "http://11.2.3.4/", True),
        ("*", "http://example.com/", False),
    ],
)
def test_no_proxy(bypass: str, url: str, goes_through: bool) -> None:
    assert (Proxies(http="http://proxy:3128", bypass=bypass).of(url) is not None) is goes_through


async def test_login_tells_right_from_wrong(store: ImageStore, liar: Liar) -> None:
    def special(request: web.Request) -> web.StreamResponse | None:
        if request.headers.get("Authorization") == "Basic bWU6c2VjcmV0":
            return None
        return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'})

    liar.special = special
    async with serving(liar) as address:
        assert await Distribution(store).login(address, AUTH) == ""
        with pytest.raises(RegistryDenied, match=rf'Get "http://{address}/v2/": unauthorized'):
            await Distribution(store).login(address, RegistryAuth("me", "wrong"))
