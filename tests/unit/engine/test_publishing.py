"""Exposed ports: an image may name any, also ones that are none."""

from __future__ import annotations

import pytest

from wharfie.engine import listing, publishing
from wharfie.network.model import Published

NONE = ["\u00b2/tcp", "9" * 5000, "", "/udp", "x/tcp", "8000-8010/tcp"]


@pytest.mark.parametrize("name", NONE)
def test_what_is_no_port_is_listed_nowhere(name: str) -> None:
    one = Published(80, "tcp", "0.0.0.0", 8080)
    assert [port.private_port for port in publishing.listed([name, "53/udp", "80"], [one])] == [53, 80]
    assert not listing._is_port("1-65535", name)


def test_a_filter_by_port_knows_ranges_and_protocols() -> None:
    assert listing._is_port("8000-8010/tcp", "8005/tcp")
    assert listing._is_port("8005", "8005/udp")
    assert not listing._is_port("8005/tcp", "8005/udp")
    assert not listing._is_port("8000-8004", "8005/tcp")
