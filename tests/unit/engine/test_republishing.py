"""Ports that change while a container runs, and what a failure leaves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from wharfie.engine import republishing
from wharfie.network.model import Endpoint, Published
from wharfie.network.ports import PortRequest
from wharfie.wire.config import HostConfig
from wharfie.wire.containers import UpdateContainer


class Publishing:
    """Remembers what is asked of it."""

    def __init__(self) -> None:
        self.added: list[PortRequest] = []

    def remove(self, container: str, published: Iterable[Published]) -> None:
        """Nothing is really open."""

    def add(self, container: str, requests: Sequence[PortRequest]) -> None:
        self.added += requests


def test_a_port_that_the_hosts_rules_apply_to_comes_back_under_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise OSError("no")

    monkeypatch.setattr(republishing, "_publish", fails)
    one = Published(80, "tcp", "0.0.0.0", 8080, proxied=True)
    publishing = Publishing()
    networks = SimpleNamespace(
        endpoints=lambda _: [Endpoint("e", "c", "bridge", "n", published=(one,))], publishing=publishing
    )
    context, container = cast(Any, SimpleNamespace(networks=networks)), cast(Any, SimpleNamespace(id="c"))
    with pytest.raises(OSError, match="no"):
        republishing.apply(context, container, UpdateContainer(publish_remove=["8080"]), HostConfig())
    assert publishing.added == [PortRequest(80, "tcp", "0.0.0.0", 8080, 8080, host_rules=True)]
