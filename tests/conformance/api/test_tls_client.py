"""TLS on both ends: docker's command line against our daemon, and our clients with certificates."""

from __future__ import annotations

import os
import re
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import wharfie
from tests import ours
from tests.conformance.api.test_ways_in import certificates, running
from tests.peers import docker
from tests.ports import free_port

PLENTY = os.urandom(2 << 20)


class Secured(NamedTuple):
    """An engine with mutual TLS, and where its certificates are."""

    host: str
    at: Path

    def run(self, program: str, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """One command line, in the directory of the certificates."""
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("DOCKER_", "WHARFIE_"))
        }
        return subprocess.run(
            [program, *words],
            input=stdin,
            capture_output=True,
            timeout=60,
            cwd=self.at,
            env={**environment, "DOCKER_CONFIG": str(self.at / "settings")},
        )


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    at = tmp_path_factory.mktemp("tls")
    certificates(at)
    for name, file in (("cert.pem", "client.pem"), ("key.pem", "client-key.pem")):
        (at / name).symlink_to(file)
    host = f"tcp://127.0.0.1:{free_port()}"
    flags = ["-H", host, "--tlsverify", "--tlscacert", f"{at}/ca.pem", "--tlscert", f"{at}/server.pem",
             "--tlskey", f"{at}/server-key.pem"]  # fmt: skip
    with running(at / "engine", *flags) as engine:
        engine.load_busybox()
        yield Secured(host, at)


KNOWN = ("--tlsverify", "--tlscacert", "ca.pem", "--tlscert", "cert.pem", "--tlskey", "key.pem")


@pytest.mark.parametrize("program", [docker.docker_cli(), ours.WHARFIE], ids=["docker", "wharfie"])
def test_streams_end_one_way_at_a_time(secured: Secured, program: str) -> None:
    def run(*words: str, stdin: bytes = b"") -> bytes:
        done = secured.run(program, *KNOWN, "-H", secured.host, *words, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run("run", "--rm", "busybox", "echo", "hello") == b"hello\n"
    assert run("run", "-i", "--rm", "busybox", "sh", "-c", "cat; echo end", stdin=PLENTY) == PLENTY + b"end\n"
    run("run", "-d", "--name", "up", "busybox", "sh", "-c", "echo line; exec sleep 1000")
    try:
        assert run("exec", "-i", "up", "cat", stdin=PLENTY) == PLENTY
        assert run("logs", "up") == b"line\n"
        assert run("cp", "up:/etc/hostname", "-")
    finally:
        run("rm", "-f", "up")


REFUSED = [
    ("--tls",),
    ("--tlsverify", "--tlscacert", "/nosuch"),
    ("--tls", "--tlscacert", "/etc/hostname"),
    ("--tls", "--tlscacert", "ca.pem"),
    ("--tlscacert", "ca.pem"),
    ("--tlsverify", "--tlscacert", "ca.pem"),
    ("--tlsverify", "--tlscacert", "ca.pem", "--tlscert", "/nosuch", "--tlskey", "key.pem"),
    ("--tlsverify", "--tlscacert", "other-ca.pem", "--tlscert", "cert.pem", "--tlskey", "key.pem"),
    ("--tlsverify", "--tlscacert", "ca.pem", "--tlscert", "stranger.pem", "--tlskey", "stranger-key.pem"),
    ("--tlsverify", "--tlscacert", "ca.pem", "--tlscert", "cert.pem", "--tlskey", "stranger-key.pem"),
]


@pytest.mark.parametrize("flags", REFUSED, ids=" ".join)
def test_what_is_refused_is_told_in_docker_s_words(secured: Secured, flags: tuple[str, ...]) -> None:
    told = []
    for program in (docker.docker_cli(), ours.WHARFIE):
        done = secured.run(program, *flags, "-H", secured.host, "ps")
        assert (done.returncode, done.stdout) == (1, b"")
        # what is asked is in docker's message, the place in ours
        text = re.sub(r'Get "[^"]*"', 'Get "…"', done.stderr.decode())
        told.append(text.strip().removeprefix("Failed to initialize: "))
    assert told[0] == told[1]


def test_pages_in_browsers_are_kept_out_behind_tls_too(secured: Secured) -> None:
    context = ssl.create_default_context(cafile=f"{secured.at}/ca.pem")
    context.load_cert_chain(f"{secured.at}/cert.pem", f"{secured.at}/key.pem")
    asked = urllib.request.Request(
        secured.host.replace("tcp://", "https://") + "/_ping", headers={"Origin": "https://evil.example"}
    )
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(asked, timeout=20, context=context)
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(secured.host.replace("tcp://", "http://") + "/_ping", timeout=20)


def test_contexts_and_variables_have_the_certificates(
    secured: Secured, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = f"host={secured.host},ca=ca.pem,cert=cert.pem,key=key.pem"
    assert secured.run(ours.WHARFIE, "context", "create", "whole", "--docker", described).returncode == 0
    described = f"host={secured.host},cert=cert.pem,key=key.pem,skip-tls-verify=true"
    assert secured.run(ours.WHARFIE, "context", "create", "trusting", "--docker", described).returncode == 0
    for name in ("whole", "trusting"):
        for program in (ours.WHARFIE, docker.docker_cli()):
            done = secured.run(program, "-c", name, "version", "--format", "{{.Server.Os}}")
            assert done.stdout == b"linux\n", done.stderr
        assert wharfie.Client(context=name, config=str(secured.at / "settings")).system.ping() == "1.51"
    for name, value in (("HOST", secured.host), ("TLS_VERIFY", "1"), ("CERT_PATH", str(secured.at))):
        monkeypatch.setenv(f"DOCKER_{name}", value)
    monkeypatch.setenv("WHARFIE_HOST", secured.host)
    done = subprocess.run(
        [ours.WHARFIE, "run", "--rm", "busybox", "echo", "x"], capture_output=True, timeout=60
    )
    assert done.stdout == b"x\n", done.stderr


async def test_the_python_clients_have_it_too(secured: Secured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(secured.at))
    with wharfie.Client(secured.host) as client:
        assert client.containers.run("busybox", "cat", input=PLENTY).stdout == PLENTY
    async with wharfie.AsyncClient(secured.host) as asynchronous:
        assert (await asynchronous.containers.run("busybox", "cat", input=PLENTY)).stdout == PLENTY
    monkeypatch.setenv("DOCKER_CERT_PATH", str(secured.at / "nothing"))
    with pytest.raises(wharfie.WharfieError, match=r"ca\.pem: no such file"):
        wharfie.Client(secured.host).system.ping()
