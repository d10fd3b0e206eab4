"""Requests taken apart and put together wrongly, from one seed, so the same on every run (SECURITY 9).

What is certainly malformed gets a 4xx. What chance makes of good requests may be anything, but it is never a
fault, and the daemon answers the next one.
"""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Iterator

import pytest

from tests import ours
from tests.security import attacks

HOST = b"Host: docker\r\n"
JSON = b"Content-Type: application/json\r\n"
CASES = 20000
# read on while bytes come; a stream that stays open is left after this
IDLE = 0.25


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ours.Engine]:
    """One of its own: chance makes networks and volumes, too."""
    with ours.engine(tmp_path_factory.mktemp("fuzz"), bridge="whfz") as running:
        yield running
        running.cli("network", "prune", "-f")


def post(path: str, body: bytes, headers: bytes = JSON) -> bytes:
    head = f"POST /v1.51{path} HTTP/1.1\r\n".encode() + HOST + headers
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


CREATE = json.dumps(
    {
        "Image": "nobody:made-this",
        "Cmd": ["a"],
        "HostConfig": {
            "Memory": 1 << 30,
            "Binds": ["/a:/b:ro"],
            "PortBindings": {"80/tcp": [{"HostPort": "80"}]},
            "Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2}],
        },
        "NetworkingConfig": {"EndpointsConfig": {"bridge": {"Aliases": ["x"]}}},
    }
).encode()
CHUNKED = b"Transfer-Encoding: chunked\r\n"
PUT = b"PUT /v1.51/containers/x/archive?path=/ HTTP/1.1\r\n"
GOOD = (
    b"GET /_ping HTTP/1.1\r\n" + HOST + b"\r\n",
    b'GET /v1.44/containers/json?all=1&filters={"label":["a=b"]} HTTP/1.1\r\n' + HOST + b"\r\n",
    b"GET /v1.51/images/a/b/c:1/json HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n",
    b"HEAD /v1.51/containers/x/archive?path=/etc HTTP/1.1\r\n" + HOST + b"\r\n",
    post("/containers/create?name=fuzz", CREATE),
    post("/exec/x/start", b'{"Detach":false,"Tty":true}', JSON + b"Connection: Upgrade\r\nUpgrade: tcp\r\n"),
    post("/containers/x/attach?stream=1&stdin=1", b"", b"Connection: Upgrade\r\nUpgrade: tcp\r\n") + b"in\n",
    post("/networks/create", b'{"Name":"","IPAM":{"Config":[{"Subnet":"10.0.0.0/33"}]}}'),
    post("/volumes/create", b'{"Name":"../x","DriverOpts":{"o":"bind"}}'),
    b"POST /v1.51/images/load HTTP/1.1\r\n" + HOST + CHUNKED + b"\r\n5\r\nhello\r\n0\r\n\r\n",
    PUT + HOST + CHUNKED + b"\r\n3;a=b\r\nabc\r\n0\r\nT: t\r\n\r\n",
    b"GET /v1.51/containers/x/attach/ws?stream=1 HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\n"
    b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: d2hhcmZpZS13aGFyZmllIQ==\r\n\r\n",
)
WORDS = (
    b"\r\n",
    b"\r\n\r\n",
    b"\0",
    b"\xff\xfe",
    b"-1",
    b"99999999999999999999",
    b"Content-Length: 3\r\n",
    CHUNKED,
    b"Expect: 100-continue\r\n",
    b"HTTP/9.9",
    b"HTTP/1.0",
    b"%00",
    b"%2e%2e%2f",
    b"../",
    b"{",
    b"[[[[",
    b'"',
    b"null",
    b"1e999",
    b"\\ud800",
    b":",
    b" ",
    b"Upgrade: h2c\r\n",
    b"/v1.99",
    b"/v0.0",
    b"?",
    b"&filters={",
)


def mutated(chance: random.Random) -> bytes:
    """A good request with one to four things done to it."""
    data = bytearray(chance.choice(GOOD))
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        upto = min(len(data), at + chance.randint(1, 30))
        kind = chance.randrange(6)
        if kind == 0 and at < len(data):
            data[at] = chance.randrange(256)
        elif kind == 1:
            del data[at:upto]
        elif kind == 2:
            data[at:at] = data[at:upto] * chance.randint(1, 40)
        elif kind == 3:
            data[at:at] = chance.choice(WORDS)
        elif kind == 4:
            del data[at:]
        else:
            other = chance.choice(GOOD)
            data[at:] = other[chance.randrange(len(other)) :]
    return bytes(data)


def answers(path: str, pieces: list[bytes], idle: float = IDLE) -> bytes:
    """What comes to these packets, up to the end or until nothing comes."""
    with attacks.connect(path) as sock:
        got = b""
        try:
            for piece in pieces:
                sock.sendall(piece)
            sock.shutdown(socket.SHUT_WR)
            sock.settimeout(idle)
            while data := sock.recv(65536):
                got += data
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            pass
        return got


def statuses(answer: bytes) -> list[int]:
    """The status of every answer in what came."""
    found = []
    for part in answer.split(b"HTTP/1.1 ")[1:]:
        if part[:3].isdigit():
            found.append(int(part[:3]))
    return found


@pytest.mark.parametrize("seed", range(10))
def test_chance_makes_no_fault(engine: ours.Engine, seed: int) -> None:
    chance = random.Random(seed)
    path = attacks.socket_path(engine)
    for _ in range(CASES // 10):
        data = mutated(chance)
        cut = chance.randrange(len(data) + 1)
        pieces = [data[:cut], data[cut:]] if chance.random() < 0.3 else [data]
        found = statuses(answers(path, [piece for piece in pieces if piece]))
        assert all(status < 500 or status in (501, 503) for status in found), (data, found)
    assert attacks.request(engine, "GET", "/_ping") == (200, b"OK")


BODIES = (
    "/containers/create",
    "/containers/x/update",
    "/containers/x/exec",
    "/exec/x/start",
    "/volumes/create",
    "/networks/create",
    "/networks/bridge/connect",
    "/networks/bridge/disconnect",
    "/auth",
    "/swarm/init",
    "/swarm/join",
    "/services/create",
    "/secrets/create",
    "/configs/create",
    "/nodes/x/update",
)
WRONG = {
    "cut off": b'{"Image": "busybox", "HostConfig": {',
    "a list": b"[]",
    "a number": b"5",
    "no JSON": b"<xml/>",
    "a lone surrogate's half": b'{"Name": "\\ud8"}',
    "a comma too many": b'{"Name": "x",}',
    "two documents": b"{}{}",
    "a NUL": b"\0",
}


@pytest.mark.parametrize("path", BODIES)
def test_a_malformed_document_is_the_clients_fault(engine: ours.Engine, path: str) -> None:
    for name, body in WRONG.items():
        (status,) = statuses(answers(attacks.socket_path(engine), [post(path, body)], 60))
        assert status == 400, (path, name, status)


MALFORMED = {
    "a length that is no number": post("/containers/create", b"").replace(b": 0", b": zero"),
    "a negative length": post("/containers/create", b"").replace(b": 0", b": -1"),
    "two lengths": b"POST /_ping HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "a chunk size that is none": PUT + HOST + CHUNKED + b"\r\nzz\r\n",
    "a header without a colon": b"GET /_ping HTTP/1.1\r\nHost docker\r\n\r\n",
    "a header with a NUL": b"GET /_ping HTTP/1.1\r\nHost: d\0cker\r\n\r\n",
    "a method that is none": b"G@T /_ping HTTP/1.1\r\n\r\n",
    "no version of HTTP": b"GET /_ping HTP/1.1\r\n\r\n",
    "a version that there is not": b"GET /v1.99/info HTTP/1.1\r\n" + HOST + b"\r\n",
    "a version that is none": b"GET /v1.x/info HTTP/1.1\r\n" + HOST + b"\r\n",
    "a path that there is not": b"GET /nowhere HTTP/1.1\r\n" + HOST + b"\r\n",
    "filters that are no JSON": b"GET /v1.51/containers/json?filters=x HTTP/1.1\r\n" + HOST + b"\r\n",
    "a WebSocket without a key": b"GET /v1.51/containers/fuzzed/attach/ws HTTP/1.1\r\n"
    + HOST
    + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n",
    "a WebSocket of an old version": b"GET /v1.51/containers/fuzzed/attach/ws HTTP/1.1\r\n"
    + HOST
    + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 3\r\n\r\n",
    "an attachment of HTTP/1.0": b"POST /v1.51/containers/fuzzed/attach?stream=1 HTTP/1.0\r\n\r\n",
    "detach keys that are none": post("/containers/fuzzed/attach?detachKeys=ctrl-1", b""),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_certainly_malformed_gets_a_4xx(engine: ours.Engine, name: str) -> None:
    assert engine.cli("create", "--name", "fuzzed", "busybox").returncode == 0
    try:
        answer = answers(attacks.socket_path(engine), [MALFORMED[name]], 60)
        found = statuses(answer)
        assert found
        assert 400 <= found[0] < 500, found
        assert b'{"message":"' in answer
    finally:
        engine.cli("rm", "fuzzed")
