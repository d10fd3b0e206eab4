"""What the environment says: whose containers a command is about, and how it asks."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.unit.cli import launch, stub
from wharfie.client import endpoint
from wharfie.client.address import ROOT_SOCKET, Address
from wharfie.client.contextstore import ContextStore, Named
from wharfie.client.settings import Settings

NAMES = [name for pair in endpoint.VARIABLES for name in pair]
OTHERS = ["DOCKER_API_VERSION", "DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH",
          "DOCKER_DEFAULT_PLATFORM", "DOCKER_CONTENT_TRUST", "DOCKER_CUSTOM_HEADERS"]  # fmt: skip


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (*NAMES, *OTHERS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    store = ContextStore(str(tmp_path))
    for name in ("one", "two"):
        store.put(Named(name, f"unix:///{name}"))
    return tmp_path


def wharfie(host: str, *words: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return launch.wharfie(host, *words, env={**os.environ, **environment})


PRECEDENCE = [
    # -H, -c, the environment, what context use was given; host and context that hold, and who says so
    (None, None, {}, "", (None, "default", "")),
    (None, None, {}, "one", (None, "one", "")),
    (None, None, {"DOCKER_CONTEXT": "two"}, "one", (None, "two", "DOCKER_CONTEXT")),
    (None, None, {"DOCKER_HOST": "h", "DOCKER_CONTEXT": "two"}, "one", ("h", "default", "DOCKER_HOST")),
    (None, None, {"DOCKER_HOST": "", "DOCKER_CONTEXT": ""}, "one", (None, "one", "")),
    (None, None, {"DOCKER_HOST": "h", "WHARFIE_CONTEXT": "two"}, "", (None, "two", "WHARFIE_CONTEXT")),
    (None, None, {"WHARFIE_HOST": "w", "WHARFIE_CONTEXT": "two"}, "", ("w", "default", "WHARFIE_HOST")),
    ("o", None, dict.fromkeys(NAMES, "x"), "one", ("o", "default", "")),
    (None, "two", dict.fromkeys(NAMES, "x"), "one", (None, "two", "")),
]


@pytest.mark.parametrize(("host", "context", "environment", "used", "expected"), PRECEDENCE)
def test_flags_go_before_the_environment_and_that_before_contexts(
    settings: Path,
    monkeypatch: pytest.MonkeyPatch,
    host: str | None,
    context: str | None,
    environment: dict[str, str],
    used: str,
    expected: tuple[str | None, str, str],
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    if used:
        ContextStore(str(settings)).use(used)
    assert endpoint.chosen(host, context, str(settings)) == expected


@pytest.mark.parametrize(
    ("text", "secured", "expected"),
    [
        ("somewhere", False, ("somewhere", 2375, "tcp://somewhere:2375")),
        ("tcp://somewhere", True, ("somewhere", 2376, "tcp://somewhere:2376")),
        ("tcp://somewhere:9", True, ("somewhere", 9, "tcp://somewhere:9")),
        ("tcp://[::1]", False, ("::1", 2375, "tcp://[::1]:2375")),
        ("tcp://[::1]:9", False, ("::1", 9, "tcp://[::1]:9")),
    ],
)
def test_a_host_without_a_port_has_docker_s(
    settings: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    secured: bool,
    expected: tuple[str, int, str],
) -> None:
    monkeypatch.setenv("DOCKER_HOST", text)
    if secured:
        monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    address = endpoint.endpoint(None, None, str(settings))
    assert (address.path, address.port, address.text) == expected
    assert (address.tls is not None, address.said_by) == (secured, "DOCKER_HOST")


def test_the_default_socket_is_ours_whoever_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wharfie.client.address.default_socket", lambda: ROOT_SOCKET)
    assert Address(None).is_default
    assert Address(f"unix://{ROOT_SOCKET}").is_default
    assert not Address("unix:///var/run/docker.sock").is_default


def engine(name: str) -> dict[str, stub.Route]:
    """One that calls itself so."""
    ping = f"HTTP/1.1 200 OK\r\nServer: {name}\r\nContent-Length: 2\r\n\r\nOK"
    return {"GET /_ping": lambda *_: ping.encode(), "GET /containers/json": lambda *_: stub.answer([])}


def test_who_answers_at_docker_s_variables_is_said_once_and_first(settings: Path) -> None:
    with stub.serving(settings, engine("Docker/28.0 (linux)")) as daemon:
        done = wharfie("", "ps", DOCKER_HOST=daemon.host)
        assert done.returncode == 0
        assert done.stdout.decode().startswith("CONTAINER ID")
        assert done.stderr.decode() == (
            f"WARNING: DOCKER_HOST leads to Docker/28.0 at {daemon.host}, not to wharfie. "
            "WHARFIE_HOST, -H or -c say which engine is meant.\n"
        )
        assert daemon.asked() == ["GET /_ping", "GET /containers/json"]
        assert daemon.connections == 1
        assert wharfie("", "ps", DOCKER_HOST="nosuch", WHARFIE_HOST=daemon.host).stderr == b""
        daemon.routes = engine("Wharfie/0.1 (linux)")
        assert wharfie("", "ps", DOCKER_HOST=daemon.host).stderr == b""


def test_an_address_that_is_wrong_is_said_with_where_it_comes_from() -> None:
    done = wharfie("", "ps", DOCKER_HOST="unix:///nonexistent/x")
    assert done.stderr.decode() == (
        "Cannot connect to the wharfie daemon at unix:///nonexistent/x (as DOCKER_HOST says). "
        "Is the daemon running?\n"
    )


def test_the_version_of_the_api_is_asked_for(settings: Path) -> None:
    routes: dict[str, stub.Route] = {
        f"{route[:route.index(' ') + 1]}/v1.41{route[route.index(' ') + 1:]}": found
        for route, found in stub.container_routes().items()
    }  # fmt: skip
    with stub.serving(settings, routes) as daemon:
        done = wharfie(daemon.host, "run", "busybox", DOCKER_API_VERSION="v1.41")
        assert done.returncode == 0, done.stderr
        assert all(request.path.startswith("/v1.41/") for request in daemon.requests)
        shown = wharfie(daemon.host, "version", DOCKER_API_VERSION="1.41").stdout.decode()
    assert "1.41 (downgraded from 1.51)" in shown


def test_the_platform_is_that_of_the_environment_where_none_is_given(settings: Path) -> None:
    created = "POST /containers/create"
    environment = {"DOCKER_DEFAULT_PLATFORM": "linux/arm64"}
    with stub.serving(settings, stub.container_routes()) as daemon:
        wharfie(daemon.host, "create", "busybox", **environment)
        wharfie(daemon.host, "create", "--platform", "linux/amd64", "busybox", **environment)
        wharfie(daemon.host, "pull", "-q", "busybox", **environment)
        bad = wharfie(daemon.host, "create", "busybox", DOCKER_DEFAULT_PLATFORM="a/b/c/d")
    assert daemon.asked()[:2] == [f"{created}?platform=linux%2Farm64", f"{created}?platform=linux%2Famd64"]
    assert daemon.asked()[2].endswith("&platform=linux%2Farm64")
    assert b"cannot parse platform specifier" in bad.stderr


@pytest.mark.parametrize(
    ("value", "words", "refused"),
    [
        ("1", "run busybox", True),
        ("yes", "create busybox:1", True),
        ("0", "run busybox", False),
        ("false", "pull busybox", False),
        ("1", "pull busybox", True),
        ("1", "pull --disable-content-trust busybox", False),
        ("", "pull --disable-content-trust=false busybox", True),
        ("1", f"pull busybox@sha256:{'0' * 64}", False),
        ("1", f"create {'0' * 64}", False),
        ("1", "push busybox", True),
        ("1", "build .", True),
        ("1", "import x", False),
    ],
)  # fmt: skip
def test_content_trust_is_never_taken_for_granted(
    settings: Path, value: str, words: str, refused: bool
) -> None:
    with stub.serving(settings, {}) as daemon:
        done = wharfie(daemon.host, *words.split(), DOCKER_CONTENT_TRUST=value)
    assert done.returncode != 0
    assert (b"asks for signed images, and wharfie can neither verify nor sign them" in done.stderr) is refused
    assert not (refused and daemon.requests)


def test_headers_of_the_environment_go_before_those_of_the_settings(
    settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (settings / "config.json").write_text('{"HttpHeaders": {"X-Meta": "v"}}')
    monkeypatch.setenv("DOCKER_CUSTOM_HEADERS", 'A=b, C =d=e,"F=g,h"')
    assert Settings(str(settings)).headers == {"A": "b", "C": "d=e", "F": "g,h"}
    monkeypatch.setenv("DOCKER_CUSTOM_HEADERS", "")
    assert Settings(str(settings)).headers == {}
    done = wharfie("unix:///x", "ps", DOCKER_CUSTOM_HEADERS="A")
    assert b"must be formatted as comma-separated key=value pairs" in done.stderr


def contexts(*words: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return wharfie("", "context", *words, **environment)


def test_contexts_tell_what_the_environment_overrides() -> None:
    listed = contexts("ls", DOCKER_HOST="unix:///h")
    assert "Current DOCKER_HOST based configuration   unix:///h" in listed.stdout.decode()
    assert b"DOCKER_HOST environment variable overrides the active context. To use a context" in listed.stderr
    used = contexts("use", "one", WHARFIE_CONTEXT="two")
    assert b'WHARFIE_CONTEXT environment variable overrides the active context. To use "one"' in used.stderr
    assert contexts("show").stdout == b"one\n"
    assert contexts("show", DOCKER_CONTEXT="two").stdout == b"two\n"
    lost = contexts("ls", "--format", "{{.Name}} {{.Current}} {{.Error}}", DOCKER_CONTEXT="nosuch")
    assert b'nosuch true context "nosuch": context not found' in lost.stdout
