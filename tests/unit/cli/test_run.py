"""``run``, ``exec`` and the streams around them, against a stub daemon."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.unit.cli import stub
from tests.unit.cli.launch import command, wharfie
from tests.unit.cli.stub import ID, answer, frame, refusal, serving


def test_run_shows_both_streams_and_ends_with_the_container_s_code(tmp_path: Path) -> None:
    with serving(tmp_path, stub.container_routes(frame(1, b"out\n"), frame(2, b"err\n"))) as daemon:
        daemon.exit_code = 42
        done = wharfie(daemon.host, "run", "--rm", "busybox", "sh", "-c", "x")
    assert (done.returncode, done.stdout, done.stderr) == (42, b"out\n", b"err\n")
    assert daemon.connections == 3
    asked = [one.partition("?")[0].rpartition("/")[2] for one in daemon.asked()]
    assert sorted(asked) == ["attach", "create", "start", "wait"]
    assert asked[0] == "create"
    assert asked[-1] == "start"
    assert f"POST /containers/{ID}/wait?condition=removed" in daemon.asked()
    body = daemon.bodies("/containers/create")[0]
    assert body["Cmd"] == ["sh", "-c", "x"]
    assert body["HostConfig"] == {"AutoRemove": True, "PortBindings": {}}
    assert not body["AttachStdin"]


def test_frames_cut_anywhere_are_put_together(tmp_path: Path) -> None:
    whole = b"".join(frame(1 + number % 2, b"%d\n" % number) for number in range(50))
    pieces = [whole[at : at + 3] for at in range(0, len(whole), 3)]
    with serving(tmp_path, stub.container_routes(*pieces)) as daemon:
        done = wharfie(daemon.host, "run", "busybox")
    assert done.stdout == b"".join(b"%d\n" % number for number in range(0, 50, 2))
    assert done.stderr == b"".join(b"%d\n" % number for number in range(1, 50, 2))


def test_standard_input_goes_in_and_its_end_with_it(tmp_path: Path) -> None:
    routes = stub.container_routes() | {f"POST /containers/{ID}/attach": stub.echo}
    data = os.urandom(3_000_000)
    with serving(tmp_path, routes) as daemon:
        done = wharfie(daemon.host, "run", "-i", "busybox", "cat", stdin=data)
    assert done.stdout == data
    body = daemon.bodies("/containers/create")[0]
    assert (body["OpenStdin"], body["StdinOnce"], body["AttachStdin"]) == (True, True, True)


def test_detached_run_prints_the_id_on_one_connection(tmp_path: Path) -> None:
    with serving(tmp_path, stub.container_routes()) as daemon:
        done = wharfie(daemon.host, "run", "-d", "busybox")
    assert done.stdout.decode() == f"{ID}\n"
    assert daemon.connections == 1


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ('exec: "x": executable file not found in $PATH', 127),
        ('exec: "/x": stat /x: no such file or directory', 127),
        ('exec: "/etc/passwd": permission denied', 126),
        ("unable to find user bob: no matching entries in passwd file", 125),
    ],
)
def test_a_failed_start_has_docker_s_exit_code(tmp_path: Path, message: str, code: int) -> None:
    routes = stub.container_routes() | {f"POST /containers/{ID}/start": lambda *_: refusal(400, message)}
    with serving(tmp_path, routes) as daemon:
        done = wharfie(daemon.host, "run", "-d", "busybox")
    assert done.returncode == code
    assert done.stderr.decode().splitlines()[0] == f"wharfie: Error response from daemon: {message}"


def test_an_absent_image_is_pulled_and_asked_for_again(tmp_path: Path) -> None:
    answers = [refusal(404, "No such image: x:latest"), answer({"Id": ID}, 201)]
    routes = stub.container_routes() | {
        "POST /containers/create": lambda *_: answers.pop(0),
        "POST /images/create": lambda *_: stub.chunked(b'{"status":"Pulling from library/x"}\n'),
    }
    with serving(tmp_path, routes) as daemon:
        done = wharfie(daemon.host, "run", "-d", "x")
    assert done.returncode == 0
    assert done.stderr == b"Unable to find image 'x:latest' locally\nPulling from library/x\n"
    assert "POST /images/create?fromImage=x&tag=latest" in daemon.asked()


def test_without_a_registry_debian_is_made_at_home(tmp_path: Path) -> None:
    answers = [refusal(404, "No such image: debian:bookworm"), answer({"Id": ID}, 201)]
    routes = stub.container_routes() | {
        "POST /containers/create": lambda *_: answers.pop(0),
        "POST /images/create": lambda *_: refusal(500, "dial tcp: no route to host"),
        "POST /wharfie/images/bootstrap": lambda *_: stub.chunked(b'{"status":"made"}\n'),
    }
    with serving(tmp_path, routes) as daemon:
        done = wharfie(daemon.host, "run", "-d", "debian:bookworm")
    assert done.returncode == 0, done.stderr
    assert "POST /wharfie/images/bootstrap?name=debian&suite=bookworm" in daemon.asked()
    assert b"own packages" in done.stderr


def test_without_a_registry_another_image_names_the_way_out(tmp_path: Path) -> None:
    routes = stub.container_routes() | {
        "POST /containers/create": lambda *_: refusal(404, "No such image: x:latest"),
        "POST /images/create": lambda *_: refusal(500, "no registry; wharfie image bootstrap debian"),
    }
    with serving(tmp_path, routes) as daemon:
        done = wharfie(daemon.host, "run", "x")
    assert done.returncode == 125
    assert b"wharfie image bootstrap debian" in done.stderr


def test_signals_are_forwarded(tmp_path: Path) -> None:
    def killed(daemon: stub.Stub, request: stub.Request) -> bytes:
        daemon.exit_code = 130
        daemon.started.set()
        return answer(None, 204)

    ready, attached = os.pipe()

    def start(daemon: stub.Stub, request: stub.Request) -> bytes:
        os.write(attached, b"x")
        return answer(None, 204)

    routes = stub.container_routes() | {
        f"POST /containers/{ID}/start": start,
        f"POST /containers/{ID}/kill": killed,
    }
    with serving(tmp_path, routes) as daemon:
        process = subprocess.Popen(command(daemon.host, "run", "busybox"))
        os.read(ready, 1)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
    assert f"POST /containers/{ID}/kill?signal=SIGINT" in daemon.asked()


def test_a_terminal_is_needed_for_one(tmp_path: Path) -> None:
    with serving(tmp_path, {}) as daemon:
        done = wharfie(daemon.host, "run", "-it", "busybox")
    assert (done.returncode, done.stderr) == (1, b"the input device is not a TTY\n")
    assert daemon.requests == []


def test_exec_uses_two_connections_and_the_command_s_code(tmp_path: Path) -> None:
    def streams(daemon: stub.Stub, request: stub.Request) -> None:
        # output in the same packet as the head counts
        request.sock.sendall(stub.UPGRADED + frame(1, b"hi\n"))

    routes = {
        "POST /containers/c/exec": lambda *_: answer({"Id": "e1"}, 201),
        "POST /exec/e1/start": streams,
        "GET /exec/e1/json": lambda *_: answer({"ExitCode": 7}),
    }
    with serving(tmp_path, routes) as daemon:
        done = wharfie(daemon.host, "exec", "-e", "A=b", "-w", "/tmp", "c", "echo", "-n", "hi")
    assert (done.returncode, done.stdout) == (7, b"hi\n")
    assert daemon.connections == 2
    body = daemon.bodies("/containers/c/exec")[0]
    assert body["Cmd"] == ["echo", "-n", "hi"]
    assert (body["Env"], body["WorkingDir"]) == (["A=b"], "/tmp")


def test_logs_are_taken_apart_and_ended(tmp_path: Path) -> None:
    data = frame(1, b"one\n") + frame(2, b"two\n")
    reply = stub.chunked(data[:5], data[5:], kind="application/vnd.docker.multiplexed-stream")
    with serving(tmp_path, {"GET /containers/c/logs": lambda *_: reply}) as daemon:
        done = wharfie(daemon.host, "logs", "-n", "5", "-t", "c")
    assert (done.stdout, done.stderr) == (b"one\n", b"two\n")
    assert daemon.asked() == ["GET /containers/c/logs?stdout=1&stderr=1&blocks=1&timestamps=1&tail=5"]


def test_detach_keys_of_the_settings_are_used(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"detachKeys": "ctrl-x"}')
    with serving(tmp_path, stub.container_routes()) as daemon:
        wharfie(daemon.host, "run", "busybox", env={"DOCKER_CONFIG": str(tmp_path)})
    assert any("detachKeys=ctrl-x" in one for one in daemon.asked())


def test_nobody_at_the_address() -> None:
    done = wharfie("unix:///nonexistent/x.sock", "run", "busybox")
    assert done.returncode == 125
    sentence = "Cannot connect to the wharfie daemon at unix:///nonexistent/x.sock. Is the daemon running?"
    assert done.stderr.decode().splitlines()[0] == f"wharfie: {sentence}"
    done = wharfie("unix:///nonexistent/x.sock", "ps")
    assert (done.returncode, done.stderr.decode()) == (1, f"{sentence}\n")
