"""The round trip of an image through a registry in the clear, with TLS, with passwords, with tokens."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests import ours
from tests.conformance.registry import registries, tokens
from tests.conformance.registry.test_commands import by_docker, done, layers_of
from tests.conformance.registry.test_pull import archive_digests
from wharfie.errors import Unauthorized
from wharfie.images.distribution import Distribution
from wharfie.images.image import RegistryAuth
from wharfie.images.registry.errors import RegistryUnreachable
from wharfie.images.registry.settings import Settings
from wharfie.images.store import ImageStore
from wharfie.state.db import Database

LAYERS = [registries.layer({"etc/motd": b"hello\n" * 1000}), registries.layer({"etc/new": bytes(100_000)})]


def store_at(directory: Path) -> ImageStore:
    directory.mkdir(parents=True, exist_ok=True)
    return ImageStore(str(directory), Database(":memory:"))


async def there_and_back(
    directory: Path, name: str, settings: Settings, auth: RegistryAuth | None = None
) -> None:
    """Push from one store, pull into another: every layer's digest is the same."""
    first, second = store_at(directory / "first"), store_at(directory / "second")
    image = await first.load(archive_of(directory, name), progress=lambda _: None)
    await Distribution(first, settings).push(name, auth=auth, progress=lambda _: None)
    pulled = await Distribution(second, settings).pull(name, auth=auth, progress=lambda _: None)
    assert pulled.id == image[0].id
    assert pulled.diff_ids == [registries.digest(layer) for layer in LAYERS]
    assert archive_digests(second, pulled) == pulled.diff_ids
    assert pulled.repo_digests == first.get(name).repo_digests


async def archive_of(directory: Path, name: str) -> AsyncIterator[bytes]:
    """The image as ``docker save`` writes it."""
    diff_ids = [registries.digest(layer) for layer in LAYERS]
    rootfs = {"type": "layers", "diff_ids": diff_ids}
    config = {"architecture": "amd64", "os": "linux", "rootfs": rootfs}
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["0.tar", "1.tar"]}]
    yield registries.layer(
        {
            "config.json": json.dumps(config).encode(),
            "0.tar": LAYERS[0],
            "1.tar": LAYERS[1],
            "manifest.json": json.dumps(manifest).encode(),
        }
    )


async def test_in_the_clear_on_a_loopback_address(tmp_path: Path) -> None:
    with registries.registry(tmp_path) as address:
        await there_and_back(tmp_path, f"{address}/a/b:1", Settings())


async def test_with_tls_and_an_authority_in_certs_d(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, certificate = tokens.certificate(tmp_path, "registry")
    extra = f"  tls: {{certificate: {certificate}, key: {key}}}\n"
    with registries.registry(tmp_path, extra) as address:
        port = address.rpartition(":")[2]
        # a name, for what is on a loopback address need not be trusted
        resolve = socket.getaddrinfo
        monkeypatch.setattr(
            socket,
            "getaddrinfo",
            lambda host, *more, **named: resolve(
                "127.0.0.1" if host == "registry.test" else host, *more, **named
            ),
        )
        name = f"registry.test:{port}/a/b:1"
        directory = tmp_path / "certs.d" / f"registry.test:{port}"
        settings = Settings(certificates=(str(tmp_path / "certs.d"),), attempts=1)
        with pytest.raises(RegistryUnreachable, match="certificate is not trusted"):
            await Distribution(store_at(tmp_path / "x"), settings).pull(name, progress=lambda _: None)
        directory.mkdir(parents=True)
        (directory / "ca.crt").write_bytes(certificate.read_bytes())
        await there_and_back(tmp_path, name, settings)


async def test_a_client_certificate_is_shown(tmp_path: Path) -> None:
    key, certificate = tokens.certificate(tmp_path, "registry")
    mine_key, mine = tokens.certificate(tmp_path, "client")
    extra = f"  tls: {{certificate: {certificate}, key: {key}, clientcas: [{mine}]}}\n"
    with registries.registry(tmp_path, extra) as address:
        settings = Settings(certificates=(str(tmp_path / "certs.d"),), attempts=1)
        name = f"{address}/a/b:1"
        with pytest.raises(RegistryUnreachable):
            await Distribution(store_at(tmp_path / "x"), settings).pull(name, progress=lambda _: None)
        directory = tmp_path / "certs.d" / address
        directory.mkdir(parents=True)
        (directory / "client.cert").write_bytes(mine.read_bytes())
        (directory / "client.key").write_bytes(mine_key.read_bytes())
        await there_and_back(tmp_path, name, settings)


async def test_with_a_password(tmp_path: Path) -> None:
    (tmp_path / "htpasswd").write_text(registries.htpasswd("me", "secret"))
    extra = f"auth:\n  htpasswd: {{realm: test, path: {tmp_path}/htpasswd}}\n"
    with registries.registry(tmp_path, extra) as address:
        await there_and_back(tmp_path, f"{address}/a/b:1", Settings(), RegistryAuth("me", "secret"))


async def test_with_tokens_for_a_password(tmp_path: Path) -> None:
    with tokens.serving(tmp_path) as server, registries.registry(tmp_path, server.configuration()) as address:
        name = f"{address}/a/b:1"
        await there_and_back(tmp_path, name, Settings(), RegistryAuth("me", "secret"))
        scopes = {tuple(query["scope"]) for _, query, _ in server.asked}
        assert scopes == {("repository:a/b:pull,push",), ("repository:a/b:pull",)}
        assert {query["account"][0] for _, query, _ in server.asked} == {"me"}
        for auth in (None, RegistryAuth("me", "wrong")):
            with pytest.raises(Unauthorized):
                await Distribution(store_at(tmp_path / "x")).pull(name, auth=auth, progress=lambda _: None)


async def test_with_an_identity_token_instead_of_a_password(tmp_path: Path) -> None:
    with tokens.serving(tmp_path) as server, registries.registry(tmp_path, server.configuration()) as address:
        distribution = Distribution(store_at(tmp_path / "x"))
        identity = await distribution.login(address, RegistryAuth("me", "secret"))
        assert identity == server.refresh
        server.asked.clear()
        await there_and_back(tmp_path, f"{address}/a/b:1", Settings(), RegistryAuth(identity_token=identity))
        assert {method for method, _, _ in server.asked} == {"POST"}
        assert not any(authorization for _, _, authorization in server.asked)


def test_both_command_lines_log_in_with_identity_tokens(
    engine: ours.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "settings"))
    with tokens.serving(tmp_path) as server, registries.registry(tmp_path, server.configuration()) as address:
        name = f"{address}/token/image:1"
        done(engine, "tag", "busybox", name)
        done(engine, "login", "-u", "me", "--password-stdin", address, stdin="secret")
        kept = json.loads((tmp_path / "settings" / "config.json").read_text())["auths"][address]
        assert kept["identitytoken"] == server.refresh
        assert "secret" not in json.dumps(kept)
        server.asked.clear()
        done(engine, "push", name)
        by_docker(engine, "pull", name)
        by_docker(engine, "login", "-u", "me", "-p", "secret", address)
        by_docker(engine, "push", name)
        done(engine, "pull", name)
        assert layers_of(engine, name) == layers_of(engine, "busybox")
        assert {authorization for method, _, authorization in server.asked if method == "POST"} == {""}
