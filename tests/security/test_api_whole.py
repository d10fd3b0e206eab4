"""The API's doors: who may knock, and what a rude visitor can do (SECURITY 9)."""

from __future__ import annotations

import base64
import glob
import http.client
import json
import os
import resource
import stat
import subprocess
import time
from pathlib import Path

import pytest

from tests import ours
from tests.ports import free_port
from tests.security import attacks

HEAD = "HTTP/1.1\r\nHost: docker\r\n"


def responsive(engine: ours.Engine, within: float = 10.0) -> bool:
    began = time.monotonic()
    status, body = attacks.request(engine, "GET", "/_ping")
    return status == 200 and body == b"OK" and time.monotonic() - began < within


def memory(pid: int) -> int:
    """Resident bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


def raw(engine: ours.Engine, data: bytes, timeout: float = 60) -> bytes:
    """Send bytes, read until the end or the timeout; the connection may be cut while we still send."""
    with attacks.connect(attacks.socket_path(engine), timeout) as sock:
        try:
            sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = b""
        try:
            while piece := sock.recv(65536):
                answer += piece
                if answer.startswith(b"HTTP/1.1 4") and b"\r\n\r\n" in answer:
                    break
        except (ConnectionResetError, TimeoutError):
            pass
        return answer


def test_the_socket_is_for_root_and_one_group(engine: ours.Engine) -> None:
    found = os.stat(attacks.socket_path(engine))
    assert stat.S_ISSOCK(found.st_mode)
    assert stat.S_IMODE(found.st_mode) == 0o660
    assert found.st_uid == 0
    nobody = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3", "-c",
         "import socket,sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])",
         attacks.socket_path(engine)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "PermissionError" in nobody.stderr


def test_nothing_of_ours_listens_on_an_abstract_socket(engine: ours.Engine) -> None:
    """CVE-2020-15257: those are reachable from every container with the host's network."""
    assert engine.cli("run", "-dt", "--name", "abstract", "busybox", "sleep", "1000").returncode == 0
    try:
        inodes = set()
        monitor = parent_of(int(attacks.inspect(engine, "abstract", "{{.State.Pid}}")))
        for pid in (engine.pid, monitor, parent_of(monitor)):
            inodes |= {one[8:-1] for one in ours.descriptors(pid) if one.startswith("socket:[")}
        assert inodes
        for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[6] in inodes and len(fields) > 7:
                assert not fields[7].startswith("@"), line
    finally:
        engine.cli("rm", "-f", "abstract")


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


AS_NOBODY = """
import os, sys
os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
top, seen = sys.argv[1], []
def walk(path, depth=0):
    try:
        names = os.listdir(path)
    except OSError:
        return
    for name in names:
        inner = os.path.join(path, name)
        seen.append(inner)
        if os.path.isdir(inner) and not os.path.islink(inner):
            walk(inner, depth + 1)
walk(top)
for known in sys.argv[2:]:
    for mode in (os.R_OK, os.X_OK, os.W_OK):
        if os.access(known, mode):
            seen.append(f"{known} {mode}")
    try:
        open(known, "rb").close(); seen.append(f"opened {known}")
    except OSError:
        pass
print(chr(10).join(seen))
"""


def test_an_ordinary_user_reaches_no_file_of_an_image_or_a_container(engine: ours.Engine) -> None:
    """CVE-2024-25621; an image's set-user-ID programs would be root's shells on the host."""
    members = [attacks.member("suid", content=Path("/bin/busybox").read_bytes(), mode=0o4755)]
    image = attacks.import_image(engine, "suid", attacks.busybox_with(*members))
    started = engine.cli("run", "-d", "--name", "reach", "-e", "PASSWORD=secret", "-v", "kept:/kept", image,
                         "sh", "-c", "/bin/busybox cp /suid /made; chmod 4755 /made; sleep 1000")  # fmt: skip
    assert started.returncode == 0, started.stderr
    try:
        while engine.cli("exec", "reach", "test", "-u", "/made").returncode:
            pass
        state = engine.state
        # glob(3) does not mind what others take away meanwhile
        known = [
            name
            for pattern in (
                "data/layers/*/diff/suid", "data/containers/*/upper/made", "data/containers/*/*-json.log",
                "data/blobs/sha256/*", "data/volumes/kept/_data", "exec/containers/*/*", "data/seccomp/*",
                "data/state.db*", "exec/spawner.log", "data/containers/*/hosts",
            )
            for name in glob.glob(f"{state}/{pattern}")
        ]  # fmt: skip
        assert len(known) > 8, known
        for part in (*state.parents, state):
            if str(part).startswith("/tmp/"):
                os.chmod(part, 0o755)
        done = subprocess.run(
            ["/usr/bin/python3", "-c", AS_NOBODY, str(state / "data"), *known],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stdout.strip() == "", done.stdout
    finally:
        engine.cli("rm", "-f", "reach")
        engine.cli("volume", "rm", "kept")


def test_directories_and_files_have_the_modes_they_need_and_no_more(engine: ours.Engine) -> None:
    assert engine.cli("run", "-d", "--name", "modes", "busybox", "sleep", "1000").returncode == 0
    try:
        identifier = attacks.inspect(engine, "modes", "{{.Id}}")
        modes = {
            str(path.relative_to(engine.state)).replace(identifier, "ID"): stat.S_IMODE(found.st_mode)
            for path, found in ours.below(engine.state)
            if "diff" not in path.parts and "upper" not in path.parts
        }
        assert modes["data"] == modes["exec"] == modes["data/containers"] == 0o711
        for name in ("data/layers", "data/blobs/sha256", "data/tmp", "data/seccomp", "exec/containers"):
            assert modes[name] == 0o700, name
        assert modes["data/state.db"] == modes["data/state.db-wal"] == modes["data/state.db-shm"] == 0o600
        assert modes["exec/containers/ID"] == 0o700
        assert modes["exec/containers/ID/monitor.sock"] & 0o077 == 0
        assert modes["data/containers/ID"] == 0o710
        assert modes["data/containers/ID/ID-json.log"] == 0o640
        assert modes["data/containers/ID/work"] == 0o700
        assert modes["wharfie.pid"] == 0o644
        writable = [name for name, mode in modes.items() if mode & 0o002]
        assert writable == []
        for pid in (engine.pid, parent_of(int(attacks.inspect(engine, "modes", "{{.State.Pid}}")))):
            status = Path(f"/proc/{pid}/status").read_text()
            assert next(line for line in status.splitlines() if line.startswith("Umask")).split()[1] == "0022"
    finally:
        engine.cli("rm", "-f", "modes")


# -- rude requests ----------------------------------------------------------------------------------


def test_a_body_of_a_gibibyte_is_not_read_into_memory(engine: ours.Engine) -> None:
    before = memory(engine.pid)
    with attacks.connect(attacks.socket_path(engine)) as sock:
        sock.sendall(
            f"POST /v1.51/containers/create {HEAD}Content-Type: application/json\r\n"
            f"Content-Length: {1 << 30}\r\n\r\n".encode()
        )
        piece, sent = b'{"Image": "' + b"x" * (1 << 20), 0
        try:
            while sent < 1 << 30:
                sock.sendall(piece)
                sent += len(piece)
        except OSError:
            pass
        # what comes behind the refusal is thrown away for a moment, so that the client reads it
        assert sock.recv(65536).startswith(b"HTTP/1.1 400 ")
    assert memory(engine.pid) - before < 96 << 20
    assert responsive(engine)


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'{"Labels":', b'{"HostConfig":{"Binds":'])
def test_deeply_nested_json_is_an_error_and_nothing_more(engine: ours.Engine, opening: bytes) -> None:
    for depth in (2_000, 200_000, (4 << 20) // len(opening)):
        status, answer = attacks.request(engine, "POST", "/containers/create", opening * depth)
        assert status == 400, (status, answer[:200])
    status, _ = attacks.request(
        engine, "POST", "/containers/create", b'{"Cmd":' + b"[" * 900 + b"]" * 900 + b"}"
    )
    assert status == 400
    assert responsive(engine)


@pytest.mark.parametrize(
    "body",
    [
        b'{"Image": 7}', b"nonsense", b'"text"', b"[]", b"null", b'{"HostConfig": {"Memory": 1e400}}',
        b"\xff\xfe",
        b'{"HostConfig": {"Memory": 99999999999999999999999999}}',
        b'{"HostConfig":{"ConsoleSize":[-1,99999999999]}}',
        b'{"Image":"busybox","Cmd":["a\\u0000b"]}', b'{"Image":"busybox","Env":["\\ud800=x"]}',
        b'{"Image":"../../../etc"}', b'{"Image":"busybox","HostConfig":{"Binds":["/\\u0000:/x"]}}',
        b'{"Image":"busybox","Hostname":"' + b"x" * 100_000 + b'"}',
    ],
    ids=range(14),
)  # fmt: skip
def test_a_nonsensical_body_is_the_clients_fault(engine: ours.Engine, body: bytes) -> None:
    status, answer = attacks.request(engine, "POST", "/containers/create", body)
    if status == 201:
        found = json.loads(answer)["Id"]
        try:
            started, answer = attacks.request(engine, "POST", f"/containers/{found}/start")
            assert started in (204, 400, 404, 500), answer
            assert b"Traceback" not in answer
        finally:
            engine.cli("rm", "-f", found)
    else:
        assert status in (400, 404), (status, answer)
    assert responsive(engine)


RUDE = {
    "a line of a megabyte": b"GET /" + b"x" * (1 << 20) + b" HTTP/1.1\r\n\r\n",
    "a header of a megabyte": b"GET /_ping HTTP/1.1\r\nX: " + b"x" * (1 << 20) + b"\r\n\r\n",
    "headers of 64 MiB": b"GET /_ping HTTP/1.1\r\n"
    + b"".join(b"X%d: %s\r\n" % (i, b"y" * 4000) for i in range(16000)),
    "a turning request without end": b"POST /v1.51/containers/x/attach?a HTTP/1.1\r\n"
    + b"X: y\r\n" * 2_000_000,
    "chunk sizes that go back": (
        b"POST /v1.51/exec/x/start HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nX\r\n-c\r\n"
    ),
    "a chunk size of 2^64": (
        b"POST /v1.51/containers/create HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"ffffffffffffffffff\r\nx\r\n"
    ),
    "a chunk size that is none": (
        b"POST /v1.51/containers/create HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nx\r\n"
    ),
    "length and chunks": (
        b"POST /v1.51/containers/create HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Length: 5\r\n\r\n0\r\n\r\nGET /_ping HTTP/1.1\r\n\r\n"
    ),
    "two lengths": b"POST /v1.51/exec/x/start HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 9\r\n\r\n{}",
    "a negative length": b"POST /v1.51/exec/x/start HTTP/1.1\r\nContent-Length: -5\r\n\r\n{}",
    "no HTTP": b"\x16\x03\x01\x02\x00" + os.urandom(3000),
    "a bare line feed": b"GET /_ping HTTP/1.1\nHost: d\n\n",
    "nul in the path": b"GET /v1.51/containers/\x00/json HTTP/1.1\r\nHost: d\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("name", RUDE)
def test_bytes_that_are_no_sensible_request(engine: ours.Engine, name: str) -> None:
    before = memory(engine.pid)
    answer = raw(engine, RUDE[name], timeout=2)
    assert not answer.startswith(b"HTTP/1.1 5"), answer[:200]
    assert answer.count(b"HTTP/1.1 200") <= (1 if name == "a bare line feed" else 0)
    assert memory(engine.pid) - before < 32 << 20
    assert responsive(engine)


PATHS = ("/containers/..%2f..%2f..%2fetc%2fpasswd/json", "/containers/%00/json", "/images/..%2f..%2f/json",
         "/volumes/..%2f..%2fetc", "/volumes/%2e%2e", "/networks/..%2fx", "/exec/..%2f/json",
         "/containers/" + "a" * 5000 + "/json", "/images/%ff%fe/json")  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_a_name_is_never_a_path(engine: ours.Engine, path: str) -> None:
    for method in ("GET", "DELETE"):
        status, answer = attacks.request(
            engine, method, path.removesuffix("/json") if method == "DELETE" else path
        )
        assert 400 <= status < 500, answer
        assert b"root:x" not in answer


@pytest.mark.parametrize(
    "size", ["h=65536&w=65536", "h=-1&w=80", "h=80&w=99999999999999999999", "h=&w=", "h=a&w=b"]
)
def test_a_terminal_of_an_impossible_size(engine: ours.Engine, size: str) -> None:
    assert engine.cli("run", "-dt", "--name", "sized", "busybox", "sleep", "1000").returncode == 0
    try:
        assert attacks.request(engine, "POST", f"/containers/sized/resize?{size}")[0] == 400
        body = {"Cmd": ["sleep", "1000"], "Tty": True, "ConsoleSize": [70000, 70000]}
        status, answer = attacks.request(engine, "POST", "/containers/sized/exec", body)
        if status == 201:
            found = json.loads(answer)["Id"]
            attacks.request(engine, "POST", f"/exec/{found}/start", {"Detach": True, "Tty": True})
            assert attacks.request(engine, "POST", f"/exec/{found}/resize?{size}")[0] == 400
        assert engine.cli("exec", "sized", "true").returncode == 0
    finally:
        engine.cli("rm", "-f", "sized")


def test_a_thousand_half_open_connections_leave_it_responsive(engine: ours.Engine) -> None:
    before, held = memory(engine.pid), []
    try:
        for number in range(1000):
            sock = attacks.connect(attacks.socket_path(engine))
            sock.sendall((b"", b"GET /_pi",
                          b"POST /v1.51/containers/create HTTP/1.1\r\nContent-Length: 99\r\n\r\n{",
                          b"POST /v1.51/exec/x/start HTTP/1.1\r\n")[number % 4])  # fmt: skip
            held.append(sock)
        assert responsive(engine)
        assert engine.cli("run", "--rm", "busybox", "echo", "alive").stdout == "alive\n"
        assert memory(engine.pid) - before < 128 << 20
    finally:
        for sock in held:
            sock.close()
    assert responsive(engine)


def test_clients_that_do_not_read_do_not_fill_the_daemon(engine: ours.Engine) -> None:
    before, held = memory(engine.pid), []
    assert (
        engine.cli(
            "run", "-d", "--name", "chatty", "busybox", "dd", "if=/dev/zero", "bs=1M", "count=48"
        ).returncode
        == 0
    )
    engine.cli("wait", "chatty")
    try:
        for _ in range(20):
            sock = attacks.connect(attacks.socket_path(engine))
            sock.sendall(f"GET /v1.51/containers/chatty/logs?stdout=1 {HEAD}\r\n".encode())
            held.append(sock)
        for _ in range(20):
            assert responsive(engine)
        assert memory(engine.pid) - before < 160 << 20
    finally:
        for sock in held:
            sock.close()
        engine.cli("rm", "-f", "chatty")


# -- TCP --------------------------------------------------------------------------------------------


def test_tcp_without_client_certificates_is_refused(tmp_path: Path) -> None:
    base = ours.describe(tmp_path / "tcp", "none")
    for extra in ([], ["--tls"]):
        words = [ours.WHARFIE, "daemon", *base.arguments, "-H", f"tcp://127.0.0.1:{free_port()}", *extra]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1
        assert "TLS" in done.stderr or "certificate" in done.stderr, done.stderr
    assert not Path(attacks.socket_path(base)).exists()


def test_on_tcp_no_page_of_a_browser_is_served(tmp_path: Path) -> None:
    port = free_port()
    base = ours.describe(tmp_path / "tcp", "none")
    base.arguments.extend(["-H", f"tcp://127.0.0.1:{port}", "--tls=false"])
    process = base.start()

    def ask(**headers: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.putrequest("GET", "/v1.51/info", skip_host="Host" in headers)
            for name, value in headers.items():
                connection.putheader(name.replace("_", "-"), value)
            connection.endheaders()
            return connection.getresponse().status
        finally:
            connection.close()

    try:
        assert ask() == 200
        assert ask(Host="localhost") == 200
        for headers in (
            {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": f"http://127.0.0.1:{port}"},
            {"Sec_Fetch_Site": "cross-site"}, {"Host": "evil.example"},
            {"Host": f"rebound.evil.example:{port}"},
            {"Host": "127.0.0.1.evil.example"}, {"Host": ""},
        ):  # fmt: skip
            assert ask(**headers) == 403, headers
    finally:
        base.end()
        process.wait(30)


def test_parameters_and_headers_nested_too_deeply_are_the_clients_fault(engine: ours.Engine) -> None:
    nested = "[" * 3000
    assert attacks.request(engine, "GET", f"/containers/json?filters={nested}")[0] == 400
    registry = {"X-Registry-Auth": base64.urlsafe_b64encode(nested.encode()).decode()}
    status, answer = attacks.request(engine, "POST", "/images/create?fromImage=localhost:1/x", b"", registry)
    assert status == 400, answer
    status, answer = attacks.request(engine, "POST", f"/commit?container=x&changes=CMD%20{nested}")
    assert 400 <= status < 500, answer
