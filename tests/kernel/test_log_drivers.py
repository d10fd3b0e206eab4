"""The log drivers that send lines away, against services of the test's own."""

from __future__ import annotations

import os
import select
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import ours

SAY = ("busybox", "sh", "-c", "echo one; echo two >&2; printf three")


class Service:
    """A syslog that keeps what it gets; ``lines`` are whole messages, without the length before them."""

    def __init__(self, listener: socket.socket, address: str, tls: ssl.SSLContext | None = None) -> None:
        self.address = address
        self._listener = listener
        self._tls = tls
        self._got = b""
        self._stopping, self._stop = os.pipe()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def lines(self) -> list[str]:
        return self._got.decode().splitlines()

    def close(self) -> None:
        os.write(self._stop, b"x")
        self._thread.join()
        self._listener.close()
        os.close(self._stopping)
        os.close(self._stop)

    def _serve(self) -> None:
        poll = select.poll()
        poll.register(self._stopping, select.POLLIN)
        poll.register(self._listener, select.POLLIN)
        clients: dict[int, socket.socket] = {}
        stream = self._listener.type == socket.SOCK_STREAM
        while True:
            for fd, _ in poll.poll():
                if fd == self._stopping:
                    for client in clients.values():
                        client.close()
                    return
                if fd == self._listener.fileno():
                    if not stream:
                        self._got += self._listener.recv(1 << 16)
                        continue
                    client = self._listener.accept()[0]
                    if self._tls is not None:
                        try:
                            client = self._tls.wrap_socket(client, server_side=True)
                        except OSError:
                            continue  # who does not know our certificate goes away again
                    clients[client.fileno()] = client
                    poll.register(client, select.POLLIN)
                elif not self._receive(clients[fd]):
                    poll.unregister(fd)
                    clients.pop(fd).close()

    def _receive(self, client: socket.socket) -> bool:
        try:
            data = client.recv(1 << 16)
            while isinstance(client, ssl.SSLSocket) and client.pending():
                data += client.recv(1 << 16)
        except OSError:
            return False  # it went away without a word, as one that is killed does
        self._got += data
        return bool(data)


@contextmanager
def service(kind: str, place: Path, port: int = 0) -> Iterator[Service]:
    family = socket.AF_UNIX if kind.startswith("unix") else socket.AF_INET
    how = socket.SOCK_DGRAM if kind in ("unixgram", "udp") else socket.SOCK_STREAM
    listener = socket.socket(family, how)
    tls = None
    if family == socket.AF_UNIX:
        place.unlink(missing_ok=True)
        # a short name: the path of a socket has 107 bytes at most, and a temporary directory any length
        here = os.open(place.parent, os.O_PATH)
        listener.bind(f"/proc/self/fd/{here}/{place.name}")
        os.close(here)
        address = f"{kind}://{place}"
    else:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        address = f"{kind}://127.0.0.1:{listener.getsockname()[1]}"
    if how == socket.SOCK_STREAM:
        listener.listen()
    if kind == "tcp+tls":
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(place.parent / "cert.pem", place.parent / "key.pem")
    running = Service(listener, address, tls)
    try:
        yield running
    finally:
        running.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a certificate for 127.0.0.1."""
    found = tmp_path_factory.mktemp("log")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2",
         "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=found, check=True, capture_output=True,
    )  # fmt: skip
    return found


def options(address: str, *more: str) -> list[str]:
    words = ["--log-driver", "syslog", "--log-opt", f"syslog-address={address}"]
    for word in more:
        words += ["--log-opt", word]
    return words


@pytest.mark.parametrize("kind", ["unixgram", "unix", "udp", "tcp"])
def test_every_line_arrives_with_its_priority_and_its_tag(
    engine: ours.Engine, place: Path, kind: str
) -> None:
    with service(kind, place / "log") as syslog:
        words = options(syslog.address, "tag={{.Name}}", "syslog-facility=local3")
        done = engine.cli("run", "--rm", "--name", "speaker", *words, *SAY)
        assert (done.returncode, done.stdout) == (0, "one\nthree"), done.stderr
        ours.until(lambda: len(syslog.lines) == 3, "not all lines arrive")
    # local3 is 19: its information is 158, its errors 155
    for text, priority in (("one", 158), ("two", 155), ("three", 158)):
        line = next(line for line in syslog.lines if line.endswith(f"]: {text}"))
        assert line.startswith(f"<{priority}>")
        assert " speaker[" in line


def test_tls_is_proven_and_frames_have_their_length(engine: ours.Engine, place: Path) -> None:
    with service("tcp+tls", place / "log") as syslog:
        form = options(syslog.address, "syslog-format=rfc5424micro", "tag=t")
        unknown = engine.cli("run", "--rm", *form, *SAY)
        assert unknown.returncode == 125
        assert "failed to initialize logging driver: tls: CERTIFICATE_VERIFY_FAILED" in unknown.stderr
        trust = ("--log-opt", f"syslog-tls-ca-cert={place}/cert.pem")
        done = engine.cli("run", "--rm", *form, *trust, *SAY)
        assert done.returncode == 0, done.stderr
        ours.until(lambda: len(syslog.lines) == 3, "not all lines arrive")
        for line in syslog.lines:
            length, _, message = line.partition(" ")
            assert int(length) == len(message) + 1
            assert message.startswith(("<30>1 ", "<27>1 "))
            assert " t - " in message


def test_logs_shows_what_was_sent_unless_its_keeping_was_forbidden(engine: ours.Engine, place: Path) -> None:
    with service("unixgram", place / "log") as syslog:
        for name, more in (("kept", ()), ("unkept", ("cache-disabled=true",))):
            done = engine.cli("run", "--name", name, *options(syslog.address, *more), *SAY)
            assert done.returncode == 0, done.stderr
        ours.until(lambda: len(syslog.lines) == 6, "not all lines arrive")
        assert engine.cli("logs", "kept").stdout == "one\nthree"
        refused = engine.cli("logs", "unkept")
        assert refused.returncode == 1
        assert "configured logging driver does not support reading" in refused.stderr
        assert engine.cli("inspect", "-f", "[{{.LogPath}}]", "kept").stdout == "[]\n"
        engine.cli("rm", "kept", "unkept")


def test_a_service_that_is_not_there_refuses_the_start(engine: ours.Engine, place: Path) -> None:
    (place / "log").unlink(missing_ok=True)
    done = engine.cli("run", "--name", "mute", *options(f"unix://{place}/log"), *SAY)
    # as Docker's: its client takes these words for a program that is not there
    assert done.returncode == 127
    assert (
        "failed to create task for container: failed to initialize logging driver: "
        f"dial unix {place}/log: connect: no such file or directory"
    ) in done.stderr
    assert engine.cli("inspect", "-f", "{{.State.Status}}", "mute").stdout == "created\n"
    engine.cli("rm", "mute")


def test_a_service_that_goes_and_comes_again_gets_every_line(engine: ours.Engine, place: Path) -> None:
    script = "echo before; read line; echo between; read line; echo after"
    with service("unixgram", place / "log") as syslog:
        words = ["run", "-d", "-i", "--name", "steady", *options(syslog.address), "busybox", "sh", "-c"]
        done = engine.cli(*words, f"mkfifo /f; exec <>/f; {script}")
        assert done.returncode == 0, done.stderr
        ours.until(lambda: len(syslog.lines) == 1, "the first line does not arrive")
    (place / "log").unlink()
    # from outside: what is executed inside may be killed with the container before it has ended
    fifo = Path(f"/proc/{engine.cli('inspect', '-f', '{{.State.Pid}}', 'steady').stdout.strip()}/root/f")
    fifo.write_bytes(b"go\n")
    ours.until(lambda: "between" in engine.cli("logs", "steady").stdout, "it does not go on by itself")
    with service("unixgram", place / "log") as syslog:
        fifo.write_bytes(b"go\n")
        ours.until(lambda: len(syslog.lines) == 2, "the lines do not follow")
        assert [line.rpartition(" ")[2] for line in syslog.lines] == ["between", "after"]
    engine.cli("rm", "-f", "steady")


def test_a_killed_daemon_s_successor_sends_the_rest_once(
    tmp_path_factory: pytest.TempPathFactory, place: Path
) -> None:
    state = tmp_path_factory.mktemp("k")
    with service("unixgram", place / "log") as syslog, ours.engine(state, bridge="whl") as engine:
        script = "mkfifo /f; echo first; read line <>/f; echo second"
        done = engine.cli(
            "run", "-d", "--name", "lasting", *options(syslog.address), "busybox", "sh", "-c", script
        )
        assert done.returncode == 0, done.stderr
        pid = int(engine.cli("inspect", "-f", "{{.State.Pid}}", "lasting").stdout)
        cursor = next((state / "data" / "containers").glob("*")) / "log-cursor"
        ours.until(cursor.exists, "the first line is not taken")
        engine.kill()
        Path(f"/proc/{pid}/root/f").write_bytes(b"go\n")
        ours.until(lambda: not ours.alive(pid), "the container does not end")
        process = engine.start()
        ours.until(lambda: len(syslog.lines) == 2, "the rest is not sent")
        assert [line.rpartition(" ")[2] for line in syslog.lines] == ["first", "second"]
        engine.cli("rm", "-f", "lasting")
        process.terminate()
        process.wait(30)


def test_local_keeps_what_its_files_hold_and_shows_it(engine: ours.Engine) -> None:
    script = "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i + 1)); done"
    limits = ("--log-opt", "max-size=20k", "--log-opt", "max-file=3")
    done = engine.cli(
        "run", "--name", "kept", "--log-driver", "local", *limits, "busybox", "sh", "-c", script
    )
    assert done.returncode == 0, done.stderr
    lines = engine.cli("logs", "kept").stdout.splitlines()
    # what rotation has taken away is the beginning, and nothing else
    assert lines == [f"line {number}" for number in range(2000 - len(lines), 2000)]
    assert 300 < len(lines) < 2000
    assert engine.cli("logs", "--tail", "1", "kept").stdout == "line 1999\n"
    # its files are nobody else's to read, as in Docker
    told = engine.cli("inspect", "-f", "[{{.LogPath}}] {{.HostConfig.LogConfig.Type}}", "kept").stdout
    assert told == "[] local\n"
    assert "local" in engine.cli("info").stdout
    engine.cli("rm", "kept")


FAILED = "failed to create task for container: failed to initialize logging driver: "


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("max-size=x", "invalid value for max-size: x: invalid size: 'x'"),
        ("max-size=-1", "invalid value for max-size: -1: invalid size: '-1'"),
        ("max-file=x", 'invalid value for max-file: x: strconv.Atoi: parsing "x": invalid syntax'),
        ("max-file=0", "compression cannot be enabled when max file count is 1"),
        ("max-file=1", "compression cannot be enabled when max file count is 1"),
        ("compress=x", 'error reading compress log option: strconv.ParseBool: parsing "x": invalid syntax'),
    ],
)
def test_what_local_cannot_use_fails_the_start_in_docker_s_words(
    engine: ours.Engine, given: str, message: str
) -> None:
    done = engine.cli(
        "run", "--name", "wrong", "--log-driver", "local", "--log-opt", given, "busybox", "true"
    )
    assert done.returncode == 125
    assert FAILED + message in done.stderr
    engine.cli("rm", "-f", "wrong")
