"""Requests by chance, made of Docker's description of the API: no fault, no hang, nothing left behind.

Schemathesis makes them, valid ones and invalid; the same ones on every run. They go to an engine of its own,
about things that are there as often as about things that are not.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode

from tests import ours
from tests.conformance.api import spec
from tests.ports import free_port

STREAMS = {
    "ContainerAttach",
    "ContainerAttachWebsocket",
    "ContainerLogs",
    "ContainerStats",
    "ContainerWait",
    "ExecStart",
    "Session",
    "SystemEvents",
}
"""They have no end of their own, or take the connection."""
OUTWARD = {"DistributionInspect", "ImageBuild", "ImageCreate", "ImagePush", "ImageSearch", "SystemAuth"}
"""They go and ask registries, whose names chance would make up."""
REFUSED = {"SwarmInit", "SwarmJoin"}
"""Docker's own answer of 500: a setting of the daemon excludes them."""
EXAMPLES = 8
NAMES = {"Container": "thing", "Image": "busybox", "Volume": "vol", "Network": "net"}


@schemathesis.serializer("application/x-tar")
def archives(_context: Any, value: Any) -> bytes:
    """What stands for an archive: whatever it is, it is none."""
    return value if isinstance(value, bytes) else str(value).encode()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ours.Engine, str]]:
    """A daemon of its own on a port, for requests in the clear."""
    port = free_port()
    described = ours.describe(tmp_path_factory.mktemp("properties") / "engine", f"whp{os.getpid()}")
    described.arguments.extend(["-H", f"tcp://127.0.0.1:{port}", "--tls=false"])
    process = described.start()
    try:
        described.load_busybox()
        yield described, f"http://127.0.0.1:{port}"
    finally:
        described.end()
        process.wait(60)


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    """Every operation that requests are made for, as schemathesis has it."""
    schema = schemathesis.openapi.from_dict(spec.document())
    found = {}
    for result in schema.get_all_operations():
        one = result.ok()
        found[one.definition.raw["operationId"]] = one
    return found


@pytest.fixture
def things(engine: tuple[ours.Engine, str]) -> Iterator[str]:
    """What requests may be about; where they are sent."""
    found, address = engine
    for words in (
        ["volume", "create", "vol"],
        ["network", "create", "net"],
        ["create", "--name", "thing", "--stop-signal", "KILL", "busybox", "sleep", "1000"],
    ):
        found.cli(*words)
    yield address
    names = found.cli("ps", "-aq").stdout.split()
    if names:
        found.cli("rm", "-f", *names)


@pytest.mark.parametrize("operation", sorted(set(spec.operations()) - STREAMS - OUTWARD))
def test_no_request_is_a_fault(things: str, described: dict[str, Any], operation: str) -> None:
    api = described[operation]
    session = requests.Session()
    session.trust_env = False
    known = NAMES.get(
        next((kind for kind in NAMES if operation.removeprefix("Put").startswith(kind)), ""), "x"
    )

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def ask(data: st.DataObject) -> None:
        mode = data.draw(st.sampled_from([GenerationMode.POSITIVE, GenerationMode.NEGATIVE]))
        case = data.draw(api.as_strategy(generation_mode=mode))
        if data.draw(st.booleans()):
            case.path_parameters = dict.fromkeys(case.path_parameters or (), known)
        answer = case.call(base_url=f"{things}/v1.51", session=session, timeout=60)
        assert answer.status_code < 500 or answer.status_code in allowed(operation), answer.text[:500]
        if answer.status_code >= 400 and case.method.upper() != "HEAD":
            assert answer.json()["message"]

    ask()
    assert session.get(f"{things}/_ping", timeout=60).text == "OK"


def allowed(operation: str) -> set[int]:
    """The statuses that are no fault of ours: what is not there, and the swarm that is not."""
    swarm = spec.operations()[operation].tag in spec.SWARM or operation in ("VolumeCreate", "VolumeUpdate")
    return {501, *([503] if swarm else []), *([500] if operation in REFUSED else [])}


def test_nothing_is_left_of_them(engine: tuple[ours.Engine, str]) -> None:
    found, _ = engine
    log = (found.state / "daemon.out").read_text()
    assert "Traceback" not in log, log[-3000:]
    ours.until(lambda: not os.listdir(found.state / "exec" / "containers"), "a monitor's things are left")
    ours.until(lambda: len(os.listdir(f"/proc/{found.pid}/fd")) < 100, "descriptors are left")
