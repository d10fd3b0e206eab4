"""The table of real connections, on our engine; and where real Docker answers otherwise, and why."""

from __future__ import annotations

import json
from pathlib import Path

from tests import ours
from tests.kernel.network import traffic
from tests.kernel.network.laboratory import uplink
from tests.kernel.network.namespaces import Peer, in_new_netns
from tests.peers import record_traffic


def test_every_connection_of_the_table_is_as_it_should_be(tmp_path: Path) -> None:
    def work() -> None:
        with Peer() as server:
            uplink(server)
            traffic.outside(server)
            with ours.engine(tmp_path, bridge="wt") as engine:
                found = traffic.play([ours.WHARFIE, "-H", engine.host], server)
                assert len(found) >= 200
                wrong = [(case, got) for case, got in found.items() if not traffic.as_it_should_be(case, got)]
                assert wrong == []

    in_new_netns(work)


def test_docker_answers_as_the_table_says_but_for_what_is_listed() -> None:
    recorded = {tuple(case): got for case, got in json.loads(record_traffic.PATH.read_text())["cases"]}
    assert list(recorded) == list(dict.fromkeys(traffic.cases())), "the cases changed: run ./check peers"
    other = {case for case, got in recorded.items() if not traffic.as_it_should_be(case, got)}
    listed = {case for case in recorded if record_traffic.reason(case)}
    assert other == listed
