"""Requests that cannot be met are answered as Docker answers them, and leave nothing (``./check peers``)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ours
from tests.peers import record_wrongs, wrong_deviations, wrongs
from tests.peers.socketclient import Client
from tests.peers.wrongs import Answer

RECORDED = {name: Answer(*answer) for name, answer in json.loads(record_wrongs.PATH.read_text()).items()}


def state(engine: ours.Engine) -> dict[str, object]:
    """What a request could leave behind."""
    client = Client(engine.host.removeprefix("unix://"))

    def named(path: str, key: str) -> list[str]:
        found = json.loads(client.ask("GET", path)[1])
        return sorted(str(one[key]) for one in (found["Volumes"] if isinstance(found, dict) else found))

    data = engine.state / "data"
    return {
        "networks": named("/networks", "Id"),
        "volumes": named("/volumes", "Name"),
        "containers": named("/containers/json?all=1", "Id"),
        "directories": sorted(os.listdir(data / "containers")),
        "trees": sorted(name for name in os.listdir(data / "volumes") if name != ".templates"),
        "temporary": sorted(os.listdir(data / "tmp")),
        "mounts": [line for line in Path("/proc/self/mounts").read_text().splitlines() if str(data) in line],
    }


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ours.Engine]:
    with ours.engine(tmp_path_factory.mktemp("wrongs"), bridge="whw") as running:
        yield running


def test_each_is_answered_as_docker_answers_it_and_leaves_nothing(engine: ours.Engine) -> None:
    client = Client(engine.host.removeprefix("unix://"))
    wrongs.prepare(client)
    temporary = engine.state / "data/tmp"
    ours.until(lambda: not os.listdir(temporary), "what preparing left is not removed")
    before = state(engine)
    table = dict(wrongs.table())
    assert list(table) == list(RECORDED), "the cases changed: run ./check peers"
    wrong = []
    for name, requests in table.items():
        answer = wrongs.ask(client, requests)
        if not wrong_deviations.alike(name, RECORDED[name], answer):
            wrong.append(f"{name}\n  docker  {RECORDED[name]}\n  wharfie {answer}")
    assert not wrong, "\n".join(wrong)
    # volumes that a mount named were made, as Docker makes them, though the container came to nothing
    ours.until(lambda: not os.listdir(temporary), "something temporary is left")
    after = state(engine)
    made = set(after.pop("volumes")) - set(before.pop("volumes"))  # type: ignore[call-overload]
    assert made <= {"x", "A_b"}, made
    trees = set(after.pop("trees")) - set(before.pop("trees"))  # type: ignore[call-overload]
    assert trees == made
    assert after == before
