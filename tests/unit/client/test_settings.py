"""What config.json says about requests and about what runs: HttpHeaders and proxies."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.unit.cli import stub
from tests.unit.cli.launch import wharfie
from wharfie.client.errors import BadSettings
from wharfie.client.settings import Settings

PROXIES = {
    "default": {"httpProxy": "http://p:1", "noProxy": "a,b", "ftpProxy": ""},
    "tcp://other:1": {"allProxy": "socks://q"},
}


def settings(directory: Path, value: Any) -> Settings:
    (directory / "config.json").write_text(json.dumps(value))
    return Settings(str(directory))


def test_proxies_are_the_daemon_s_own_or_those_by_default(tmp_path: Path) -> None:
    found = settings(tmp_path, {"proxies": PROXIES})
    assert found.proxies("unix:///x") == {
        "HTTP_PROXY": "http://p:1", "http_proxy": "http://p:1", "NO_PROXY": "a,b", "no_proxy": "a,b",
    }  # fmt: skip
    assert found.proxies("tcp://other:1") == {"ALL_PROXY": "socks://q", "all_proxy": "socks://q"}
    assert found.with_proxies("tcp://other:1", ["all_proxy=mine", "A"]) == [
        "all_proxy=mine",
        "A",
        "ALL_PROXY=socks://q",
    ]


@pytest.mark.parametrize("value", [{}, {"proxies": []}, {"proxies": {"default": 3}}, []])
def test_settings_without_proxies(tmp_path: Path, value: Any) -> None:
    assert settings(tmp_path, value).proxies("unix:///x") == {}


def test_headers_are_those_that_can_be(tmp_path: Path) -> None:
    given = {"HttpHeaders": {"X-Meta": "v", "user-agent": "u"}}
    assert settings(tmp_path, given).headers == {"X-Meta": "v"}
    for name, value in (("A:", "b"), ("A", "b\r\nC: d"), ("A\n", "b"), ("A", 3)):
        with pytest.raises(BadSettings, match="is no header"):
            _ = settings(tmp_path, {"HttpHeaders": {name: value}}).headers


def test_the_command_line_goes_by_them(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    settings(tmp_path, {"HttpHeaders": {"X-Meta": "v"}, "proxies": PROXIES})
    routes: dict[str, stub.Route] = stub.container_routes() | {
        "POST /build": lambda *_: stub.chunked(b'{"aux": {"ID": "sha256:a"}}\n'),
    }
    environment = {**os.environ, "DOCKER_CONFIG": str(tmp_path)}
    with stub.serving(tmp_path, routes) as daemon:
        for words in (
            ("run", "-d", "-e", "NO_PROXY=mine", "i"),
            ("build", "--build-arg", "A=b", str(tmp_path)),
        ):
            done = wharfie(daemon.host, *words, env=environment)
            assert done.returncode == 0, done.stderr
    assert {request.headers["x-meta"] for request in daemon.requests} == {"v"}
    (created,) = daemon.bodies("/containers/create")
    assert created["Env"] == [
        "NO_PROXY=mine",
        "HTTP_PROXY=http://p:1",
        "http_proxy=http://p:1",
        "no_proxy=a,b",
    ]
    (build,) = [request for request in daemon.requests if request.path == "/build"]
    (arguments,) = parse_qs(urlsplit(build.target).query)["buildargs"]
    assert json.loads(arguments) == {
        "HTTP_PROXY": "http://p:1", "http_proxy": "http://p:1", "NO_PROXY": "a,b", "no_proxy": "a,b",
        "A": "b",
    }  # fmt: skip
