"""The parts of an OCI configuration."""

from __future__ import annotations

import pytest

from wharfie.engine import merging
from wharfie.engine.container import Container, Record, Status
from wharfie.engine.context import EngineDefaults
from wharfie.engine.oci import capabilities, limits, namespaces
from wharfie.engine.oci.config import Circumstances, environment, specification
from wharfie.engine.oci.devices import devices
from wharfie.engine.oci.host import Host
from wharfie.engine.oci.resources import resources
from wharfie.engine.oci.security import Security
from wharfie.errors import InvalidArgument
from wharfie.images.config import RunConfig
from wharfie.volumes.model import MountPoint
from wharfie.wire.config import Config, DeviceMapping, HostConfig, Ulimit

ALL = (1 << 41) - 1


def spec_of(
    host_config: HostConfig, points: list[MountPoint] | None = None, host: Host | None = None
) -> dict:  # type: ignore[type-arg]
    host = host or Host()
    filled = merging.host_config(host_config, EngineDefaults(), host)
    record = Record(
        config=Config(image="x"), host_config=filled, image_id="sha256:x", created=1, path="sh", args=[]
    )
    container = Container("c" * 64, "name", record, Status(), directory="/d", run_directory="/r")
    now = Circumstances(hostname="box", points=points or [], files={"/etc/hosts": "/d/hosts"}, cgroup="/w/c")
    return specification(container, Security(), host, now)


def options_of(spec: dict, destination: str) -> list[str]:  # type: ignore[type-arg]
    return next(item["options"] for item in spec["mounts"] if item["destination"] == destination)


async def test_docker_defaults() -> None:
    spec = spec_of(HostConfig())
    assert [item["destination"] for item in spec["mounts"]] == [
        "/proc",
        "/dev",
        "/dev/pts",
        "/sys",
        "/sys/fs/cgroup",
        "/dev/mqueue",
        "/dev/shm",
        "/etc/hosts",
    ]
    assert "size=67108864" in options_of(spec, "/dev/shm")
    assert "/proc/interrupts" in spec["linux"]["maskedPaths"]
    assert spec["linux"]["readonlyPaths"][-1] == "/proc/sysrq-trigger"
    assert {item["type"] for item in spec["linux"]["namespaces"]} == {"mount", "network", "ipc", "pid", "uts"}
    assert spec["linux"]["resources"]["devices"][0] == {"allow": False, "access": "rwm"}


async def test_version_two_brings_a_cgroup_namespace() -> None:
    kinds = {item["type"] for item in spec_of(HostConfig(), host=Host(unified=True))["linux"]["namespaces"]}
    assert "cgroup" in kinds


async def test_privileged_takes_the_masks_off() -> None:
    spec = spec_of(HostConfig(privileged=True))
    assert spec["linux"]["maskedPaths"] == spec["linux"]["readonlyPaths"] == []
    assert "ro" not in options_of(spec, "/sys")
    assert "CAP_SYS_ADMIN" in spec["process"]["capabilities"]["bounding"]


async def test_a_read_only_root_leaves_dev_writable() -> None:
    spec = spec_of(HostConfig(readonly_rootfs=True))
    assert spec["root"]["readonly"]
    assert "ro" in options_of(spec, "/etc/hosts")
    assert "ro" not in options_of(spec, "/dev/shm")


async def test_a_mount_of_ones_own_replaces_the_default() -> None:
    point = MountPoint(type="bind", source="/host", destination="/dev/shm", rw=False, propagation="rprivate")
    spec = spec_of(HostConfig(), [point])
    assert options_of(spec, "/dev/shm") == ["rbind", "ro", "rro", "rprivate"]


def test_capabilities_are_added_dropped_and_bounded() -> None:
    def names(add: list[str], drop: list[str], bounding: int = ALL) -> list[str]:
        return capabilities.effective(add, drop, privileged=False, bounding=bounding)

    assert len(names([], [])) == 14
    assert names(["NET_ADMIN"], ["all"]) == ["CAP_NET_ADMIN"]
    assert len(names(["ALL"], ["cap_sys_admin"])) == 40
    assert names(["ALL"], [], bounding=1) == ["CAP_CHOWN"]


def test_environment_is_dockers() -> None:
    config = Config(env=["PATH=/bin", "A=b", "HOSTNAME"], tty=True)
    assert environment(config, "box") == ["PATH=/bin", "TERM=xterm", "A=b"]


def test_limits_become_resources() -> None:
    found = resources(
        HostConfig(nano_cpus=1_500_000_000, memory=64, memory_swap=128, pids_limit=-1, cpu_shares=1)
    )
    assert found == {
        "memory": {"limit": 64, "swap": 128},
        "cpu": {"shares": 2, "period": 100_000, "quota": 150_000},
        "pids": {"limit": -1},
    }


class Poor(Host):
    """A host whose own hard limit of open files is 20000 and cannot be raised."""

    def rlimit(self, number: int) -> tuple[int, int]:
        return 1024, 20_000


def test_a_default_ulimit_is_lowered_and_an_explicit_one_refused() -> None:
    host = Poor(raise_limits=False)
    high = Ulimit(name="nofile", soft=1 << 20, hard=1 << 20)
    lowered = limits.rlimits(None, {"nofile": high}, host)
    assert lowered == [{"type": "RLIMIT_NOFILE", "hard": 20_000, "soft": 20_000}]
    with pytest.raises(limits.LimitTooHigh, match="error setting rlimit type 7: operation not permitted"):
        limits.rlimits([high], {}, host)


def test_a_device_is_resolved_on_the_host() -> None:
    nodes, rules = devices(
        HostConfig(devices=[DeviceMapping(path_on_host="/dev/null", path_in_container="/dev/x")])
    )
    assert (nodes[0]["path"], nodes[0]["major"], nodes[0]["minor"]) == ("/dev/x", 1, 3)
    assert rules[-1] == {"allow": True, "type": "c", "access": "rwm", "major": 1, "minor": 3}
    with pytest.raises(InvalidArgument) as caught:
        devices(HostConfig(devices=[DeviceMapping(path_on_host="/dev/nosuch")]))
    assert caught.value.message == (
        'error gathering device information while adding custom device "/dev/nosuch": '
        "no such file or directory"
    )


def test_image_and_request_are_merged_by_dockers_rules() -> None:
    image = RunConfig(entrypoint=["/entry"], cmd=["default"], env=["A=1", "B=2"], labels={"l": "i"}, user="u")

    def command(**asked: object) -> tuple[str, list[str]]:
        return merging.command(merging.config(Config(**asked), image, "host"))  # type: ignore[arg-type]

    assert command() == ("/entry", ["default"])
    assert command(cmd=["x"]) == ("/entry", ["x"])
    assert command(entrypoint=["e"]) == ("e", [])
    assert command(entrypoint=[""], cmd=["x"]) == ("x", [])
    with pytest.raises(merging.NoCommand):
        command(entrypoint=[""])
    merged = merging.config(Config(env=["B=3"], labels={"m": "r"}), image, "host")
    assert merged.env == ["B=3", "A=1"]
    assert merged.labels == {"l": "i", "m": "r"}
    assert (merged.user, merged.hostname) == ("u", "host")


def test_user_namespaces_do_not_overlap() -> None:
    assert namespaces.free_base(set()) == 100_000
    assert namespaces.free_base({100_000, 165_536}) == 231_072
