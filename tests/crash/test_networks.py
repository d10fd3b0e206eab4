"""The daemon is killed at every step of what it does to networks, ports and volumes.

The next one finds what was begun whole or not done at all: in its catalog, in the kernel, inside the
container and in its files. Connections of other containers go on all the while, old ones and new ones.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests import ours
from tests.crash.orders import Orders
from tests.kernel.network.answers import Place
from tests.kernel.network.laboratory import HOST_OUTSIDE, uplink
from tests.kernel.network.namespaces import Peer, in_new_netns

# fewer would mean that the points are not passed any more
LEAST = {
    "create": 4,
    "remove": 3,
    "connect": 9,
    "disconnect": 6,
    "publish": 7,
    "limit": 3,
    "unlimit": 2,
    "volume": 2,
    "disk": 5,
    "discard": 3,
    "fill": 4,
}


class Traffic:
    """Somebody who talks through an old connection and through new ones, and notes what is not answered."""

    def __init__(self, place: Place, address: str, port: int) -> None:
        self.rounds = 0
        self.trouble: list[str] = []
        self._stop = threading.Event()
        self._target = (address, port)
        self._thread = threading.Thread(target=lambda: place.run(self._talk), daemon=True)
        self._thread.start()

    def _talk(self) -> None:
        with socket.create_connection(self._target, timeout=30) as old:
            while not self._stop.wait(0.02):
                try:
                    with socket.create_connection(self._target, timeout=30) as new:
                        for sock in (old, new):
                            sock.sendall(b"?")
                            assert sock.recv(1) == b"?"
                    self.rounds += 1
                except (OSError, AssertionError) as error:
                    self.trouble.append(repr(error))

    def end(self) -> None:
        self._stop.set()
        self._thread.join()
        assert self.trouble == []
        assert self.rounds > 10


def _echo() -> None:
    """A server on port 80 of the present namespace."""
    server = socket.create_server(("0.0.0.0", 80))

    def serve(client: socket.socket) -> None:
        with client:
            while data := client.recv(100):
                client.sendall(data)

    def accept() -> None:
        while True:
            client, _ = server.accept()
            threading.Thread(target=serve, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


class Daemons:
    """One after the other on the same roots, each in a child of one process."""

    def __init__(self, engine: ours.Engine) -> None:
        self._state = engine.state
        self._orders = Orders("networkwork")
        self._told = engine.state / "told.json"
        self._where = {"root": str(engine.state), "bridge": engine.bridge, "told": str(self._told)}
        self.said = ""
        """By the last one, where something went wrong."""

    def turn(self, work: str, fault: str) -> tuple[int, dict[str, Any]]:
        self._told.write_text("{}")
        code, self.said = self._orders.give(self._state / "turn.out", work=work, fault=fault, **self._where)
        return code, json.loads(self._told.read_text())

    def close(self) -> None:
        self._orders.close()


@contextmanager
def _laboratory(tmp_path: Path) -> Iterator[tuple[ours.Engine, list[Traffic]]]:
    """Containers that talk, one that will be moved about, and no daemon."""
    with Peer() as server:
        uplink(server)
        with ours.engine(tmp_path, bridge="wn") as engine:

            def run(*words: str) -> str:
                done = engine.cli(*words)
                assert done.returncode == 0, (words, done.stderr)
                return done.stdout.strip()

            def place(name: str) -> Place:
                return Place(f"/proc/{run('inspect', '-f', '{{.State.Pid}}', name)}/ns/net")

            run("network", "create", "--subnet", "10.86.0.0/24", "inner")
            options = ("--subnet", "10.87.0.0/24", "-o", "com.docker.network.bridge.enable_icc=false")
            run("network", "create", *options, "-o", "com.docker.network.bridge.name=wcfurther",
                "-o", "wharfie.rate=out=20mbit", "further")  # fmt: skip
            run("volume", "create", "kept")
            for name, port in (("web", "8080"), ("mover", "8081"), ("peer", "8083")):
                run("run", "-d", "--name", name, "--network", "inner", "-p", f"{port}:80",
                    "busybox", "sleep", "600")  # fmt: skip
            place("web").run(_echo)
            web = run("inspect", "-f", "{{.NetworkSettings.Networks.inner.IPAddress}}", "web")
            traffic = [
                Traffic(Place(f"/proc/{server.pid}/ns/net"), HOST_OUTSIDE, 8080),
                Traffic(place("peer"), web, 80),
            ]
            _end(engine)
            try:
                yield engine, traffic
            finally:
                engine.start()  # the last one removes what there is


def _end(engine: ours.Engine) -> None:
    daemon = engine.pid
    os.kill(daemon, signal.SIGTERM)
    ours.until(lambda: not ours.alive(daemon), "the daemon does not end")


def test_whatever_a_killed_daemon_had_begun_is_whole_or_was_never_done(tmp_path: Path) -> None:
    def work() -> None:
        with _laboratory(tmp_path) as (engine, traffic):
            daemons = Daemons(engine)
            try:
                _kill_everywhere(daemons, tmp_path / "steps")
            finally:
                daemons.close()
            for one in traffic:
                one.end()

    in_new_netns(work)


def _kill_everywhere(daemons: Daemons, steps_file: Path) -> None:
    at, begun, done = "", {}, {}
    for order, least in LEAST.items():
        steps_file.write_text("")
        code, told = daemons.turn(order, f"trace:{steps_file}")
        assert code == 0, daemons.said
        if at:
            _judge(at, told["found"], begun, done)
        begun, done = told["begun"], told["done"]
        assert begun != done
        at = f"{order}, all of it"
        steps = steps_file.read_text().splitlines()
        assert len(steps) >= least, (order, steps)
        for number, step in enumerate(steps, start=1):
            code, told = daemons.turn(order, f"kill:{number}")
            assert code == -signal.SIGKILL, (order, step, daemons.said)
            _judge(at, told["found"], begun, done)
            assert told["begun"] == begun, _difference(told["begun"], begun)
            at = f"{order}, step {number}: {step}"


def _judge(at: str, found: dict[str, Any], begun: dict[str, Any], done: dict[str, Any]) -> None:
    if at.startswith("fill"):
        # an archive is unpacked file by file: what is there is a part of it, and nothing else
        files = set(found.pop("files"))
        assert set(begun["files"]) <= files <= set(done["files"]), at
        begun, done = ({**one, "files": None} for one in (begun, done))
        found["files"] = None
    assert found in (begun, done), f"after {at}: {_difference(found, begun)} or {_difference(found, done)}"


def _difference(one: dict[str, Any], other: dict[str, Any]) -> str:
    return str({key: (one[key], other[key]) for key in one if one[key] != other[key]})
