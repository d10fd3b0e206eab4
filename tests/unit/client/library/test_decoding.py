"""Answers of our own engine, of others and of none become typed values or one error."""

from __future__ import annotations

import pytest

from wharfie.client.errors import BrokenAnswer
from wharfie.client.library.decoding import read
from wharfie.wire.containers import Change, ContainerInspect, ContainerSummary
from wharfie.wire.networks import Network


def test_null_is_an_empty_list_and_what_is_missing_is_empty() -> None:
    assert read(b"null", list[Change]) == []
    found = read(b'[{"Id": "a", "Ports": null, "Labels": null, "Names": null}]', list[ContainerSummary])
    one = found[0]
    assert (one.id, one.ports, one.labels, one.names, one.status) == ("a", [], {}, [], "")


def test_a_document_within_another_is_made_up_for_as_well() -> None:
    data = b'{"Id": "a", "State": {"ExitCode": 3}, "Config": {"Env": null, "Tty": true}}'
    found = read(data, ContainerInspect)
    assert (found.state.exit_code, found.state.status) == (3, "")
    assert (found.config.tty, found.config.env) == (True, None)
    assert found.host_config.network_mode == ""


def test_maps_of_documents() -> None:
    found = read(b'{"Name": "n", "Containers": {"c": {"Name": null}}, "Options": null}', Network)
    assert (found.id, found.containers["c"].name, found.options) == ("", "", {})


@pytest.mark.parametrize("data", [b"{", b"[]", b'{"Name": 3}', b"\xff"])
def test_what_cannot_be_meant_is_one_error(data: bytes) -> None:
    with pytest.raises(BrokenAnswer, match="not what it should be"):
        read(data, Network)
