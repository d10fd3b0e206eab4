"""The ways to the daemon: sockets of systemd, TLS with client certificates, metrics, SIGHUP."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import docker
import pytest

from tests import ours
from tests.ports import free_port

# what systemd does, sd_listen_fds(3): descriptors from 3 on, for the process of this id
ACTIVATE = """
import os, sys
given = [os.dup(int(number)) for number in sys.argv[1:3]]
for at, fd in enumerate(given):
    os.dup2(fd, 3 + at)
    os.set_inheritable(3 + at, True)
os.environ |= {"LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:b", "LISTEN_PID": str(os.getpid())}
os.execv(sys.argv[3], sys.argv[3:])
"""
NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@contextmanager
def running(state: Path, *flags: str) -> Iterator[ours.Engine]:
    """A daemon with these flags besides the usual ones, and without containers."""
    described = ours.describe(state, f"whw{os.getpid()}")
    described.arguments.extend(flags)
    process = described.start()
    try:
        yield described
    finally:
        described.end()
        process.wait(30)


def openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)


def certificates(at: Path) -> None:
    """An authority, a server and a client of it, and a client of another."""
    for name in ("ca", "other-ca"):
        openssl(
            "req",
            "-x509",
            *NEW_KEY,
            "-days",
            "1",
            "-subj",
            f"/CN={name}",
            "-keyout",
            f"{at}/{name}-key.pem",
            "-out",
            f"{at}/{name}.pem",
        )
    (at / "san").write_text("subjectAltName=IP:127.0.0.1")
    for name, authority in (("server", "ca"), ("client", "ca"), ("stranger", "other-ca")):
        openssl(
            "req",
            *NEW_KEY,
            "-subj",
            f"/CN={name}",
            "-keyout",
            f"{at}/{name}-key.pem",
            "-out",
            f"{at}/{name}.csr",
        )
        openssl("x509", "-req", "-in", f"{at}/{name}.csr", "-CA", f"{at}/{authority}.pem", "-CAkey",
                f"{at}/{authority}-key.pem", "-CAcreateserial", "-days", "1", "-extfile", f"{at}/san",
                "-out", f"{at}/{name}.pem")  # fmt: skip


def client(at: Path, port: int, name: str) -> Any:
    tls = docker.tls.TLSConfig(
        client_cert=(f"{at}/{name}.pem", f"{at}/{name}-key.pem"), ca_cert=f"{at}/ca.pem", verify=True
    )
    return docker.DockerClient(base_url=f"tcp://127.0.0.1:{port}", tls=tls, timeout=20)


def test_tls_lets_those_in_whose_certificate_its_authority_signed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # requests prefers them to what its caller says
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    certificates(tmp_path)
    port = free_port()
    flags = ["-H", f"tcp://127.0.0.1:{port}", "--tlsverify", "--tlscacert", f"{tmp_path}/ca.pem", "--tlscert",
             f"{tmp_path}/server.pem", "--tlskey", f"{tmp_path}/server-key.pem"]  # fmt: skip
    with running(tmp_path / "e", *flags) as engine:
        engine.load_busybox()
        known = client(tmp_path, port, "client")
        assert known.ping() is True
        assert known.containers.run("busybox", ["cat", "/proc/1/cmdline"], remove=True).startswith(b"cat\0")
        known.close()
        with pytest.raises(docker.errors.DockerException, match=r"(?i)ssl|connection"):
            client(tmp_path, port, "stranger")
        with pytest.raises(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/_ping", timeout=20)


def test_systemd_s_sockets_are_served_whatever_their_number(tmp_path: Path) -> None:
    sockets = []
    for name in ("one.sock", "two.sock"):
        made = socket.socket(socket.AF_UNIX)
        made.bind(str(tmp_path / name))
        made.listen()
        sockets.append(made)
    described = ours.describe(tmp_path / "e", f"whw{os.getpid()}")
    words = [ours.WHARFIE, "daemon", *described.arguments, "-H", "fd://"]
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", ACTIVATE, *(str(sock.fileno()) for sock in sockets), *words],
            pass_fds=[sock.fileno() for sock in sockets],
            stdout=output,
            stderr=output,
        )
    try:
        served = f"the API listens on unix://{tmp_path}/two.sock"
        ours.until(lambda: served in log.read_text() or process.poll() is not None, "it does not begin")
        assert process.poll() is None, log.read_text()
        for name in ("one.sock", "two.sock"):
            with closing(docker.DockerClient(base_url=f"unix://{tmp_path}/{name}", timeout=30)) as found:
                assert found.ping() is True
        # nobody whom the daemon starts has them
        listening = {os.readlink(f"/proc/self/fd/{sock.fileno()}") for sock in sockets}
        children = [pid for pid in ours.processes() if pid != process.pid and ours.parent(pid) == process.pid]
        assert children
        for pid in children:
            assert not listening & ours.descriptors(pid)
    finally:
        described.end()
        process.wait(30)
        for sock in sockets:
            sock.close()


def test_the_unit_files_name_what_there_is() -> None:
    units = ours.ROOT / "packaging" / "systemd"
    service, sock = (units / "wharfie.service").read_text(), (units / "wharfie.socket").read_text()
    for line in (
        "daemon -H fd://",
        "KillMode=process",
        "Type=notify",
        "ExecReload=/bin/kill -s HUP $MAINPID",
    ):
        assert line in service
    assert "ListenStream=/run/wharfie/wharfie.sock" in sock
    assert "SocketMode=0660" in sock


def scraped(port: int) -> dict[str, float]:
    """Every sample by its name and labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain")
        lines = answer.read().decode().splitlines()
    return {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")
    }


def test_metrics_count_what_happens(tmp_path: Path) -> None:
    port = free_port()
    with running(tmp_path / "e", "--metrics-addr", f"127.0.0.1:{port}") as engine:
        engine.load_busybox()
        before = scraped(port)
        states = {state: f'engine_daemon_container_states_containers{{state="{state}"}}' for state in
                  ("running", "paused", "stopped")}  # fmt: skip
        assert [before[name] for name in states.values()] == [0, 0, 0]
        assert engine.cli("run", "-d", "--name", "one", "busybox", "sleep", "1000").returncode == 0
        assert engine.cli("create", "--name", "two", "busybox").returncode == 0
        assert engine.cli("pause", "one").returncode == 0
        after = scraped(port)
        assert [after[name] for name in states.values()] == [0, 1, 1]
        for action, count in (("create", 2), ("start", 1), ("delete", 0)):
            name = f'engine_daemon_container_actions_seconds_count{{action="{action}"}}'
            assert after[name] - before[name] == count
        assert after["engine_daemon_events_total"] > before["engine_daemon_events_total"]
        assert after["engine_daemon_engine_cpus_cpus"] == os.cpu_count()
        assert after["process_resident_memory_bytes"] > 1 << 20
        assert engine.cli("rm", "-f", "one", "two").returncode == 0


def test_a_hangup_has_the_configuration_read_again(tmp_path: Path) -> None:
    config = tmp_path / "daemon.json"
    config.write_text('{"labels": ["a=1"]}')
    with (
        running(tmp_path / "e", "--config-file", str(config)) as engine,
        closing(docker.DockerClient(base_url=engine.host, timeout=30)) as found,
    ):
        config.write_text(
            json.dumps({"labels": ["a=2"], "debug": True, "registry-mirrors": ["https://m.example"]})
        )
        stream = found.events(decode=True, filters={"type": "daemon"})
        os.kill(engine.pid, signal.SIGHUP)
        event = next(stream)
        assert (event["Type"], event["Action"], event["Actor"]["ID"]) == (
            "daemon",
            "reload",
            found.info()["ID"],
        )
        assert event["Actor"]["Attributes"]["labels"] == '["a=2"]'
        info = found.info()
        assert (info["Labels"], info["Debug"]) == (["a=2"], True)
        assert info["RegistryConfig"]["Mirrors"] == ["https://m.example/"]
        # what cannot be changes nothing, and the daemon goes on
        log = engine.state / "daemon.out"
        config.write_text('{"labels": 5}')
        os.kill(engine.pid, signal.SIGHUP)
        ours.until(
            lambda: "the configuration is not reloaded" in log.read_text(), "the refusal is not logged"
        )
        assert found.info()["Labels"] == ["a=2"]
        stream.close()
