"""Requests asked of every engine in one situation: which fields and JSON types come, and which headers.

Real Docker's answers are recorded (``./check peers``) as shapes: what is in a list is put together, a field's
value is only its type. Fields whose content is the kernel's (``OPAQUE``) are not looked into.
"""

from __future__ import annotations

import base64
import json
import re
import struct
import time
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import quote

from tests import ours
from tests.peers.socketclient import Client

NEWEST = "v1.45"
VERSIONS = ("v1.24", "v1.30", "v1.40", "v1.43", NEWEST)
"""The last is the newest that both know."""
_SCRIPT = (
    "echo out; sleep 1; echo err >&2; echo x >/added; rm /etc/passwd; "
    "trap exit TERM; while :; do sleep 0.1; done"
)
_HEALTHY = {
    "Test": ["CMD", "true"],
    "Interval": 10**9,
    "Timeout": 10**10,
    "Retries": 2,
    "StartPeriod": 10**9,
}


class Step(NamedTuple):
    """One request; ``{name}`` in its path stands for what an earlier one with ``keep`` was answered as Id."""

    method: str
    path: str
    body: Any = None
    keep: str = ""

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"


def _create(name: str, **config: Any) -> Step:
    body = {"Image": "busybox", "Cmd": ["sleep", "1000"], **config}
    return Step("POST", f"/containers/create?name={name}", body)


PREPARED = (
    Step("POST", "/networks/create", {
        "Name": "wide", "Labels": {"a": "b"}, "CheckDuplicate": True,
        "IPAM": {"Config": [
            {"Subnet": "10.73.0.0/24", "IPRange": "10.73.0.128/25", "Gateway": "10.73.0.1"}]}}),
    Step("POST", "/volumes/create", {"Name": "kept", "Labels": {"c": "d"}}),
    _create("full", Cmd=["sh", "-c", _SCRIPT], Env=["A=b"], Labels={"e": "f"}, Healthcheck=_HEALTHY,
            ExposedPorts={"80/tcp": {}, "81/udp": {}}, Hostname="h", Domainname="d", User="0",
            WorkingDir="/tmp", StopSignal="SIGTERM", StopTimeout=3, Volumes={"/anonymous": {}},
            HostConfig={"Binds": ["kept:/kept"], "NetworkMode": "wide", "Memory": 64 << 20,
                        "PortBindings": {"80/tcp": [{"HostPort": "8078"}]}, "CapAdd": ["SYS_TIME"],
                        "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 2}, "PidsLimit": 100,
                        "Ulimits": [{"Name": "nproc", "Soft": 100, "Hard": 200}], "Dns": ["10.73.0.9"],
                        "Mounts": [{"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1 << 20}}],
                        "Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/x",
                                     "CgroupPermissions": "r"}], "ExtraHosts": ["there:10.0.0.1"],
                        "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}}},
            NetworkingConfig={"EndpointsConfig": {"wide": {"Aliases": ["also"]}}}),
    _create("plain", Cmd=["sh", "-c", "exit 3"]),
    _create("made"),
    _create("typed", Tty=True, OpenStdin=True, Cmd=["sh", "-c", "echo typed; exec sleep 1000"]),
    _create("alone", HostConfig={"NetworkMode": "none"}),
    *(Step("POST", f"/containers/{name}/start") for name in ("full", "plain", "typed", "alone")),
    Step("POST", "/containers/plain/wait"),
    Step("POST", "/containers/alone/pause"),
    Step("POST", "/images/busybox/tag?repo=other&tag=1"),
)  # fmt: skip
"""What the situation is made of."""

_LOGS = "stdout=1&stderr=1"
ASKED = (
    *(Step("GET", path) for path in (
        "/_ping", "/version", "/info", "/plugins",
        "/images/json", "/images/json?all=1&digests=1", "/images/json?shared-size=1",
        "/images/busybox/json", "/images/busybox/history",
        "/containers/json", "/containers/json?all=1", "/containers/json?all=1&size=1",
        "/containers/full/json", "/containers/full/json?size=1", "/containers/plain/json",
        "/containers/made/json", "/containers/typed/json", "/containers/alone/json",
        "/containers/full/top", "/containers/full/top?ps_args=-o%20pid,comm", "/containers/full/changes",
        "/containers/made/changes",
        f"/containers/full/logs?{_LOGS}", f"/containers/full/logs?{_LOGS}&timestamps=1&tail=1",
        f"/containers/full/logs?{_LOGS}&details=1", f"/containers/typed/logs?{_LOGS}",
        f"/containers/made/logs?{_LOGS}",
        "/networks", "/networks/wide", "/networks/wide?verbose=1", "/networks/bridge", "/networks/host",
        "/networks/none", "/volumes", "/volumes/kept", "/system/df",
        "/containers/full/archive?path=/etc/hosts", "/containers/full/export", "/images/busybox/get",
        "/events?since=1&until={now}&filters=" + quote('{"event":["create","start","die"]}'),
    )),
    Step("HEAD", "/_ping"),
    Step("HEAD", "/containers/full/archive?path=/etc/hosts"),
)  # fmt: skip
"""What is asked in each version."""

ONCE = (
    Step("POST", "/containers/full/exec", {"Cmd": ["sh", "-c", "echo in; exit 4"], "AttachStdout": True,
                                           "Env": ["G=h"]}, "exec"),
    Step("GET", "/exec/{exec}/json"),
    Step("POST", "/exec/{exec}/start", {"Detach": False}),
    Step("GET", "/exec/{exec}/json"),
    Step("POST", "/containers/plain/wait"),
    *(Step("GET", f"/containers/{name}/stats?{query}") for name, query in (
        ("full", "stream=0"), ("full", "stream=0&one-shot=1"), ("alone", "stream=0&one-shot=1"),
        ("made", "stream=0"))),
    Step("POST", "/containers/full/update", {"Memory": 65 << 20, "MemorySwap": 130 << 20}),
    Step("POST", "/containers/made/rename?name=renamed"),
    Step("POST", "/commit?container=plain&repo=made&tag=1", {}),
    Step("POST", "/containers/create", {"Image": "busybox"}, "made"),
    Step("POST", "/containers/full/start"),
    Step("POST", "/containers/renamed/stop"),
    Step("GET", "/nosuch"),
    Step("GET", "/containers/nosuch/json"),
    Step("GET", "/images/nosuch/json"),
    Step("GET", "/networks/nosuch"),
    Step("GET", "/volumes/nosuch"),
    Step("GET", "/swarm"),
    Step("GET", "/nodes"),
    Step("GET", "/plugins/nosuch/json"),
    Step("GET", "/containers/json?filters=x"),
    Step("POST", "/containers/create", "{"),
    Step("POST", "/containers/create", {"Image": "nosuch"}),
    Step("DELETE", "/containers/full"),
    Step("POST", "/containers/prune"),
    Step("DELETE", "/images/made:1"),
    Step("DELETE", "/images/other:1"),
    Step("POST", "/images/prune"),
    Step("POST", "/volumes/prune"),
    Step("POST", "/networks/prune"),
    Step("POST", "/build/prune"),
    Step("DELETE", "/containers/full?force=1&v=1"),
    Step("DELETE", "/networks/wide"),
    Step("DELETE", "/volumes/kept"),
)  # fmt: skip
"""What is asked in the newest version only: it changes something, or fails."""

OPAQUE = (
    "memory_stats", "blkio_stats.", "storage_stats", "Warnings", "SecurityOptions", "networks.eth0",
    "RegistryConfig", "DriverStatus", "Components", "Runtimes", "Plugins",
)  # fmt: skip
HOST = ("KernelMemoryTCP", "ExecIDs")
"""Fields that are the machine's, or the moment's: not compared."""
_FRAMING = ("Content-Length", "Transfer-Encoding", "Date")
_PLAIN = ("Content-Type", "Docker-Experimental", "Ostype", "Cache-Control", "Pragma", "Swarm")
"""Headers whose value counts."""
_DIGITS = re.compile(r"\b[0-9a-f]{64}\b|\b[0-9a-f]{12}\b")


class Answer(NamedTuple):
    """What came, without what differs each time."""

    status: int
    headers: dict[str, str]
    body: Any


def shape(value: Any, where: str = "") -> Any:
    """The type, and what it is made of: of objects the fields, of lists the elements together."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    if any(where.endswith(name) or (name.endswith(".") and name in f"{where}.") for name in OPAQUE):
        return "array" if isinstance(value, list) else "object"
    if isinstance(value, list):
        elements = [shape(one, f"{where}[]") for one in value]
        return [merged(elements)] if elements else []
    return {
        _DIGITS.sub("<id>", name): shape(one, f"{where}.{name}")
        for name, one in sorted(value.items())
        if name not in HOST
    }


def merged(shapes: list[Any]) -> Any:
    """One shape for what occurs in one place; types that differ side by side."""
    objects = [one for one in shapes if isinstance(one, dict)]
    if len(objects) == len(shapes):
        names = sorted({name for one in objects for name in one})
        return {name: merged([one[name] for one in objects if name in one]) for name in names}
    lists = [one for one in shapes if isinstance(one, list)]
    if len(lists) == len(shapes):
        elements = [element for one in lists for element in one]
        return [merged(elements)] if elements else []
    texts = sorted({one if isinstance(one, str) else json.dumps(one, sort_keys=True) for one in shapes})
    return " or ".join(texts)


def _body(step: Step, kind: str, content: bytes) -> Any:
    if kind.startswith("application/json"):
        text = content.decode()
        try:
            return shape(json.loads(text)) if text.strip() else None
        except ValueError:
            # one document a line
            return ["a line", merged([shape(json.loads(line)) for line in text.splitlines() if line.strip()])]
    if "stream" in kind and "/logs" in step.path:
        return [[number, _stamped(text)] for number, text in frames(content)]
    if content[257:262] == b"ustar":
        return "a tar archive"
    return content.decode(errors="replace")


def _stamped(text: str) -> str:
    return re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "<time>", text)


def frames(content: bytes) -> Iterator[tuple[int, str]]:
    """Frames of a multiplexed stream; -1 for one that is none."""
    at = 0
    while at < len(content):
        stream, length = struct.unpack_from(">BxxxL", content, at) if content[at] < 3 else (-1, len(content))
        at += 8 if stream >= 0 else 0
        yield stream, content[at : at + length].decode(errors="replace")
        at += length


def _headers(found: dict[str, str]) -> dict[str, str]:
    kept = {}
    for name, value in sorted(found.items()):
        if name in _FRAMING:
            continue
        if name == "X-Docker-Container-Path-Stat":
            kept[name] = json.dumps(shape(json.loads(base64.b64decode(value))))
        else:
            kept[name] = value if name in _PLAIN else ""
    return kept


class Play:
    """One engine's answers, in order."""

    def __init__(self, host: str) -> None:
        self._client = Client(host.removeprefix("unix://"))
        self._kept: dict[str, str] = {}

    def ask(self, step: Step, version: str) -> Answer:
        path = step.path.format(now=int(time.time()), **self._kept)
        status, found, content = self._client.exchange(step.method, f"/{version}{path}", step.body)
        if step.keep:
            self._kept[step.keep] = json.loads(content)["Id"]
        return Answer(status, _headers(found), _body(step, found.get("Content-Type", ""), content))

    def prepare(self) -> None:
        """Make the situation, and wait until it is one."""
        for step in PREPARED:
            answer = self.ask(step, NEWEST)
            assert answer.status < 300, (step, answer)
        ours.until(self._settled, "the containers did not come so far")
        # the end of a list of events is told in whole seconds: all that has happened must lie before
        last = int(time.time())
        ours.until(lambda: int(time.time()) > last, "the clock stands still")

    def _settled(self) -> bool:
        inspected = json.loads(self._client.ask("GET", "/containers/full/json")[1])
        said = self._client.ask("GET", f"/containers/full/logs?{_LOGS}")[1]
        typed = self._client.ask("GET", f"/containers/typed/logs?{_LOGS}")[1]
        changed = self._client.ask("GET", "/containers/full/changes")[1]
        healthy = inspected["State"]["Health"]["Log"]
        return bool(healthy) and said.count(b"\n") == 2 and b"typed" in typed and b"passwd" in changed

    def all(self) -> dict[str, Answer]:
        """Everything, by version and request."""
        self.prepare()
        found = {f"{version} {step.name}": self.ask(step, version) for version in VERSIONS for step in ASKED}
        for number, step in enumerate(ONCE):
            # some are asked twice
            found[f"{number} {step.name}"] = self.ask(step, NEWEST)
        return found
