"""``/metrics`` for Prometheus on an address of its own (``metrics-addr``), under Docker's names.

Loaded only where it is asked for: the library takes memory. Nothing is gathered between two scrapes but what
``engine/meters.py`` counts anyway.
"""

from __future__ import annotations

import logging
import socket
from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from wharfie.api.answers import Answer
from wharfie.api.call import Call
from wharfie.api.server import Server
from wharfie.engine.containers import Containers
from wharfie.engine.events import EventBus
from wharfie.engine.meters import BOUNDS, Histogram
from wharfie.engine.system import System
from wharfie.errors import Unavailable

_log = logging.getLogger(__name__)
_TEXT = "text/plain; version=0.0.4; charset=utf-8"
_PREFIX = "engine_daemon"


class EngineCollector(Collector):
    """Reads the engine's numbers when they are asked for."""

    def __init__(self, system: System, containers: Containers, events: EventBus) -> None:
        self._system = system
        self._containers = containers
        self._events = events

    def collect(self) -> Iterator[Metric]:
        """Every family of metrics."""
        info = self._system.info()
        about = InfoMetricFamily(f"{_PREFIX}_engine", "The information related to the engine and its system")
        about.add_metric(
            [],
            {
                "version": info.server_version,
                "commit": "",
                "architecture": info.architecture,
                "graphdriver": info.driver,
                "kernel": info.kernel_version,
                "os": info.operating_system,
                "os_version": info.os_version,
                "os_type": info.os_type,
                "daemon_id": info.id,
            },
        )
        yield about
        yield _gauge("engine_cpus_cpus", "The number of CPUs that the host system has", info.ncpu)
        yield _gauge("engine_memory_bytes", "The number of bytes of memory that the host has", info.mem_total)
        yield self._states()
        yield _counter("events", "The number of events logged", self._events.emitted)
        subscribers = "The number of current subscribers to events"
        yield _gauge("events_subscribers_total", subscribers, self._events.subscribers)
        meters = self._containers.meters
        yield _counter("health_checks", "The total number of health checks", meters.health_checks)
        failed = "The total number of failed health checks"
        yield _counter("health_checks_failed", failed, meters.health_failures)
        actions = HistogramMetricFamily(
            f"{_PREFIX}_container_actions_seconds",
            "The number of seconds it takes to process each container action",
            labels=["action"],
        )
        for name, histogram in meters.actions.items():
            actions.add_metric([name], buckets=_cumulative(histogram), sum_value=histogram.total)
        yield actions

    def _states(self) -> Metric:
        found = GaugeMetricFamily(
            f"{_PREFIX}_container_states_containers",
            "The count of containers in various states",
            labels=["state"],
        )
        states: Counter[str] = Counter()
        for container in self._containers.all():
            status = container.status
            states["paused" if status.paused else "running" if status.active else "stopped"] += 1
        for state in ("paused", "running", "stopped"):
            found.add_metric([state], states[state])
        return found


def _gauge(name: str, help_text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{_PREFIX}_{name}", help_text, value=value)


def _counter(name: str, help_text: str, value: float) -> Metric:
    return CounterMetricFamily(f"{_PREFIX}_{name}", help_text, value=value)


def _cumulative(histogram: Histogram) -> list[tuple[str, float]]:
    found, count = [], 0
    for bound, more in zip((*map(str, BOUNDS), "+Inf"), histogram.buckets, strict=True):
        count += more
        found.append((bound, float(count)))
    return found


async def listen(address: str, system: System, containers: Containers, events: EventBus) -> Server:
    """Serve ``/metrics`` there from now on.

    Raises:
        Unavailable: the address cannot be bound.
    """
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(EngineCollector(system, containers, events))

    async def metrics(call: Call) -> Answer:
        return Answer(200, generate_latest(registry), headers={"Content-Type": _TEXT})

    name, _, port = address.rpartition(":")
    try:
        family = socket.AF_INET6 if ":" in name else socket.AF_INET
        sock = socket.create_server((name.strip("[]"), int(port)), family=family)
    except OSError as error:
        raise Unavailable(f"cannot serve metrics on {address}: {error.strerror or error}") from error
    # it tells numbers only, and Prometheus asks by whatever name it was given
    server = Server([("GET", "/metrics", metrics)], guarded=False)
    await server.listen(sock)
    _log.info("metrics are served on http://%s/metrics", address)
    return server
