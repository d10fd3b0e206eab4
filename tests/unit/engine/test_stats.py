"""Numbers of a control group in Docker's form."""

from __future__ import annotations

from typing import Any

import pytest

from wharfie.engine import stats
from wharfie.errors import InvalidArgument

HOST = stats.Host(system=9_000_000_000, cpus=2, memory=1 << 30)
NET_DEV = """Inter-|   Receive                                                |  Transmit
 face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier
    lo:     100       2    0    0    0     0          0      0      100       2    0    0    0     0      0
  eth0:    5338      36    1    2    0     0          0      0      648       8    3    4    0     0      0
"""
STAT = {"cache": 0, "rss": 1}
ENTRY = {"major": 8, "minor": 0, "op": "Read", "value": 4096}


def numbers(version: int) -> dict[str, Any]:
    return {
        "version": version,
        "cpu": {
            "usage": 500,
            "user": 300,
            "system": 200,
            "percpu": [400, 100] if version == 1 else [],
            "periods": 5,
            "throttled_periods": 4,
            "throttled_time": 3,
        },
        "memory": {
            "usage": 4096,
            "max_usage": 8192,
            "limit": 1 << 62,
            "failcnt": 0,
            "stat": {"cache": 0, "rss": 1},
        },
        "pids": {"current": 2, "limit": 0},
        "blkio": {"io_service_bytes_recursive": [ENTRY], "io_serviced_recursive": [ENTRY]},
    }


def test_version_one() -> None:
    sample = stats.convert(numbers(1), NET_DEV, HOST, 1_700_000_000_000_000_001)
    assert sample["read"] == "2023-11-14T22:13:20.000000001Z"
    assert sample["preread"] == "0001-01-01T00:00:00Z"
    assert sample["cpu_stats"] == {
        "cpu_usage": {
            "total_usage": 500,
            "percpu_usage": [400, 100],
            "usage_in_kernelmode": 200,
            "usage_in_usermode": 300,
        },
        "system_cpu_usage": 9_000_000_000,
        "online_cpus": 2,
        "throttling_data": {"periods": 5, "throttled_periods": 4, "throttled_time": 3},
    }
    assert sample["memory_stats"] == {
        "usage": 4096,
        "max_usage": 8192,
        "stats": {"cache": 0, "rss": 1},
        "limit": 1 << 30,
    }
    assert sample["pids_stats"] == {"current": 2}
    assert sample["blkio_stats"]["io_serviced_recursive"] == [ENTRY]
    assert sample["blkio_stats"]["sectors_recursive"] == []
    assert sample["networks"] == {
        "eth0": {
            "rx_bytes": 5338,
            "rx_packets": 36,
            "rx_errors": 1,
            "rx_dropped": 2,
            "tx_bytes": 648,
            "tx_packets": 8,
            "tx_errors": 3,
            "tx_dropped": 4,
        }
    }


def test_version_two_leaves_out_what_it_does_not_count() -> None:
    sample = stats.convert(numbers(2), "", HOST, 0)
    assert "percpu_usage" not in sample["cpu_stats"]["cpu_usage"]
    assert "max_usage" not in sample["memory_stats"]
    assert sample["blkio_stats"]["io_service_bytes_recursive"] == [ENTRY]
    assert sample["blkio_stats"]["io_serviced_recursive"] is None
    assert "networks" not in sample


def test_a_limit_of_its_own_is_told() -> None:
    limited = numbers(1)
    limited["memory"]["limit"] = 1 << 20
    assert stats.convert(limited, "", HOST, 0)["memory_stats"]["limit"] == 1 << 20


def test_the_host_has_cpus_and_memory() -> None:
    host = stats.Host.read()
    assert host.cpus >= 1
    assert host.memory > 1 << 20
    assert stats.Host.read().system >= host.system


class Link:
    cgroup = "/wharfie/none"
    pid = 0


class Known:
    """A registry of one container."""

    def __init__(self, running: bool) -> None:
        self.id, self.name, self.link = "a" * 64, "one", Link()
        self.status = self
        self.running = running
        self.removed = False

    def get(self, ref: str) -> Known:
        if self.removed:
            raise stats.NoSuchContainer(ref)
        return self


async def collect(known: Known, *, stream: bool, one_shot: bool, most: int = 3) -> list[dict[str, Any]]:
    samples = []
    async for sample in stats.Stats(known).stats("one", stream=stream, one_shot=one_shot):  # type: ignore[arg-type]
        samples.append(sample)
        if len(samples) == most:
            known.removed = True
    return samples


@pytest.fixture
def samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting, and samples that grow."""
    count = [0]

    def sample(_cgroup: str, _pid: int) -> dict[str, Any]:
        count[0] += 1
        grown = numbers(1)
        grown["cpu"]["usage"] = count[0] * 1000
        return stats.convert(grown, "", HOST, count[0])

    monkeypatch.setattr(stats, "sample", sample)
    monkeypatch.setattr(stats, "_INTERVAL", 0.0)


def usages(sample: dict[str, Any]) -> tuple[int, int]:
    return tuple(sample[key]["cpu_usage"]["total_usage"] for key in ("precpu_stats", "cpu_stats"))  # type: ignore[return-value]


@pytest.mark.usefixtures("samples")
async def test_a_stream_carries_the_sample_before() -> None:
    found = await collect(Known(True), stream=True, one_shot=False)
    assert [usages(sample) for sample in found] == [(0, 1000), (1000, 2000), (2000, 3000)]
    assert found[1]["preread"] == found[0]["read"]
    assert found[0]["name"] == "/one"
    assert found[0]["id"] == "a" * 64


@pytest.mark.usefixtures("samples")
async def test_a_single_sample_has_one_to_compare_with() -> None:
    (found,) = await collect(Known(True), stream=False, one_shot=False)
    assert usages(found) == (1000, 2000)


@pytest.mark.usefixtures("samples")
async def test_one_shot_takes_one() -> None:
    (found,) = await collect(Known(True), stream=False, one_shot=True)
    assert usages(found) == (0, 1000)


@pytest.mark.usefixtures("samples")
async def test_a_container_that_does_not_run_has_zeros() -> None:
    (found,) = await collect(Known(False), stream=False, one_shot=False)
    assert usages(found) == (0, 0)
    assert found["memory_stats"] == {}


async def test_a_stream_is_not_one_shot() -> None:
    with pytest.raises(InvalidArgument, match="cannot have stream=true and one-shot=true"):
        await collect(Known(True), stream=True, one_shot=True)
