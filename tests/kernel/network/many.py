"""Many networks with a container each: made, asked for names, taken down. For a test, and to be timed."""

from __future__ import annotations

import json
import socket
import time
from functools import partial
from typing import Any, NamedTuple

from tests import ours
from tests.kernel.network.answers import Place
from tests.peers.socketclient import Client


class Times(NamedTuple):
    """Seconds that each network, each container and each removal took."""

    networks: list[float]
    containers: list[float]
    names: list[float]
    removals: list[float]


class Crowd:
    """So many networks of one engine, and a container in each, or in each second, …"""

    def __init__(self, engine: ours.Engine, count: int, *, every: int = 1) -> None:
        self._client = Client(engine.host.removeprefix("unix://"))
        self.count = count
        self._inhabited = range(0, count, every)
        self.times = Times([], [], [], [])

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        status, content = self._client.ask(method, path, body)
        assert status < 300, (path, status, content)
        return json.loads(content) if content.strip() else None

    def make(self) -> None:
        """The networks, then a container in each, with another name there and a port for every tenth."""
        for number in range(self.count):
            began = time.perf_counter()
            self._ask("POST", "/networks/create", {"Name": f"net{number}"})
            self.times.networks.append(time.perf_counter() - began)
        for number in self._inhabited:
            began = time.perf_counter()
            host: dict[str, Any] = {"NetworkMode": f"net{number}"}
            if number % 10 == 0:
                host["PortBindings"] = {"80/tcp": [{"HostPort": str(20_000 + number)}]}
            endpoints = {f"net{number}": {"Aliases": [f"alias{number}"]}}
            body = {"Image": "busybox", "Cmd": ["sleep", "1000"], "HostConfig": host,
                    "NetworkingConfig": {"EndpointsConfig": endpoints}}  # fmt: skip
            self._ask("POST", f"/containers/create?name=c{number}", body)
            self._ask("POST", f"/containers/c{number}/start")
            self.times.containers.append(time.perf_counter() - began)

    def resolve(self) -> None:
        """Each knows its own name and its alias, and nobody else's."""
        for number in self._inhabited:
            pid = self._ask("GET", f"/containers/c{number}/json")["State"]["Pid"]
            place = Place(f"/proc/{pid}/ns/net")
            began = time.perf_counter()
            own, alias = (place.run(partial(_known, name)) for name in (f"c{number}", f"alias{number}"))
            self.times.names.append((time.perf_counter() - began) / 2)
            assert own == alias != "", f"c{number} does not know itself"
            assert not place.run(partial(_known, f"c{(number + self._inhabited.step) % self.count}")), (
                "names of other networks"
            )
            place.close()

    def remove(self) -> None:
        """All of it again."""
        for number in self._inhabited:
            self._ask("DELETE", f"/containers/c{number}?force=1")
        for number in range(self.count):
            began = time.perf_counter()
            self._ask("DELETE", f"/networks/net{number}")
            self.times.removals.append(time.perf_counter() - began)


def _known(name: str) -> str:
    """The address that the embedded DNS gives for a name; empty without one."""
    query = b"\1\2\1\0\0\1\0\0\0\0\0\0" + bytes((len(name),)) + name.encode() + b"\0\0\1\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(30)
        sock.sendto(query, ("127.0.0.11", 53))
        answer = sock.recv(512)
    return socket.inet_ntoa(answer[-4:]) if answer[7] else ""
