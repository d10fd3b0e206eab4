"""Requests about networks, ports, mounts and volumes that cannot be met, or only just: each asked by itself.

A case is what is sent, one request after the other until one is refused; what it made is removed again. The
answers of the real engine are recorded (``./check peers``): status and sentence.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.peers import cases, wrong_containers, wrong_networks, wrong_volumes
from tests.peers.socketclient import Client

VERSION = "v1.45"


class Answer(NamedTuple):
    """What was said in the end."""

    status: int
    message: str


def table() -> Iterator[tuple[str, list[tuple[str, str, Any]]]]:
    """Name and requests of each case."""
    for family in (wrong_networks, wrong_containers, wrong_volumes):
        yield from family.table()


PREPARED: list[tuple[str, str, Any]] = [
    ("POST", "/networks/create", {"Name": "base", "IPAM": {"Config": [
        {"Subnet": "10.70.0.0/24", "IPRange": "10.70.0.128/25", "Gateway": "10.70.0.1",
         "AuxiliaryAddresses": {"router": "10.70.0.2"}}]}}),
    ("POST", "/networks/create", {"Name": "named", "IPAM": {"Config": [{"Subnet": "10.69.0.0/24"}]},
                                  "Options": {"com.docker.network.bridge.name": "whnamed0"}}),
    ("POST", "/volumes/create", {"Name": "used"}),
    ("POST", "/volumes/create", {"Name": "free", "Labels": {"a": "b"}}),
    ("POST", "/containers/create?name=there", {
        "Image": "busybox", "Cmd": ["sleep", "1000"], "ExposedPorts": {"80/tcp": {}},
        "HostConfig": {"NetworkMode": "base", "PortBindings": {"80/tcp": [{"HostPort": "8088"}]},
                       "Binds": ["used:/data"]},
        "NetworkingConfig": {"EndpointsConfig": {"base": {"IPAMConfig": {"IPv4Address": "10.70.0.20"}}}}}),
    ("POST", "/containers/there/start", None),
    ("POST", "/containers/create?name=here", {"Image": "busybox", "Cmd": ["true"]}),
    ("POST", "/containers/create?name=onhost", {
        "Image": "busybox", "Cmd": ["sleep", "1000"], "HostConfig": {"NetworkMode": "host"}}),
    ("POST", "/containers/onhost/start", None),
    ("POST", "/containers/create?name=alone", {
        "Image": "busybox", "Cmd": ["sleep", "1000"], "HostConfig": {"NetworkMode": "none"}}),
    ("POST", "/containers/alone/start", None),
]  # fmt: skip
"""What the cases lean on."""
UNDO: list[tuple[str, str]] = [
    ("DELETE", "/containers/bad?force=1&v=1"),
    ("DELETE", "/networks/bad"),
    ("DELETE", "/volumes/bad?force=1"),
]


def prepare(client: Client) -> None:
    for method, path, body in PREPARED:
        status, content = client.ask(method, f"/{VERSION}{path}", body)
        assert status < 300, (path, status, content)


def ask(client: Client, requests: list[tuple[str, str, Any]]) -> Answer:
    """Ask one case, and clear away what came of it."""
    answer = Answer(0, "")
    for method, path, body in requests:
        status, content = client.ask(method, f"/{VERSION}{path}", body)
        answer = Answer(status, _message(status, content))
        if status >= 400:
            break
    for method, path in UNDO:
        client.ask(method, f"/{VERSION}{path}")
    # an attempt that should have failed may have moved what the next one leans on
    for network in ("base", "named", "bridge"):
        client.ask("POST", f"/{VERSION}/networks/{network}/disconnect", {"Container": "here", "Force": True})
    client.ask("POST", f"/{VERSION}/networks/bridge/connect", {"Container": "here"})
    return answer


def _message(status: int, content: bytes) -> str:
    if status < 400:
        return ""
    try:
        text = json.loads(content)["message"]
    except (ValueError, KeyError, TypeError):
        text = content.decode(errors="replace")
    return cases.normalise(str(text).strip())


def record(host: str) -> dict[str, Answer]:
    """The answers of the engine that listens there to all of it."""
    client = Client(host.removeprefix("unix://"))
    prepare(client)
    return {name: ask(client, requests) for name, requests in table()}
