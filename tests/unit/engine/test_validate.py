"""What is refused and warned about, compared with what a real dockerd said (tests/peers/recordings)."""

from __future__ import annotations

from typing import Any

import pytest

from wharfie.engine import logoptions, validate
from wharfie.engine.oci.host import Host
from wharfie.errors import InvalidArgument, WharfieError
from wharfie.wire.config import Config, HostConfig, PortBinding, RestartPolicy, Ulimit

HOST = Host(cpus=2, online_cpus="0-1")
MB = 1 << 20


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"memory": 1024}, "Minimum memory limit allowed is 6MB"),
        (
            {"memory": 64 * MB, "memory_swap": 32 * MB},
            "Minimum memoryswap limit should be larger than memory limit, see usage",
        ),
        (
            {"memory": 64 * MB, "memory_reservation": 128 * MB},
            "Minimum memory limit can not be less than memory reservation limit, see usage",
        ),
        (
            {"nano_cpus": 1000 * 10**9},
            "Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available",
        ),
        (
            {"nano_cpus": 10**9, "cpu_quota": 1000},
            "Conflicting options: Nano CPUs and CPU Quota cannot both be set",
        ),
        (
            {"cpu_period": 1},
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        ),
        ({"cpu_quota": 10}, "CPU cfs quota can not be less than 1ms (i.e. 1000)"),
        ({"cpuset_cpus": "99"}, "Requested CPUs are not available - requested 99, available: 0-1"),
        ({"cpuset_cpus": "x"}, "Invalid value x for cpuset cpus: invalid format: x"),
        (
            {"memory_swap": 32 * MB},
            "You should always set the Memory limit when using Memoryswap limit, see usage",
        ),
    ],
)
def test_limits_that_cannot_be(limits: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        validate.resources(HostConfig(**limits), HOST)
    assert caught.value.message == message


def test_a_weight_that_the_kernel_lacks_is_discarded_with_dockers_warning() -> None:
    checked, warnings = validate.resources(HostConfig(blkio_weight=5), HOST)
    assert checked.blkio_weight == 0
    assert warnings == [
        "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded."
    ]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"oom_score_adj": 5000}, "Invalid value 5000, range for oom score adj is [-1000, 1000]"),
        ({"ipc_mode": "nonsense"}, "invalid IPC mode: nonsense"),
        ({"cap_add": ["NOSUCH"]}, 'invalid CapAdd: unknown capability: "CAP_NOSUCH"'),
        ({"security_opt": ["nosuch=1"]}, 'invalid --security-opt 2: "nosuch=1"'),
        ({"sysctls": {"kernel.nosuch": "1"}}, "sysctl 'kernel.nosuch' is not allowed"),
        ({"ulimits": [Ulimit(name="nosuch", hard=1, soft=1)]}, "invalid ulimit type: nosuch"),
        (
            {"restart_policy": RestartPolicy(name="sometimes")},
            "invalid restart policy: unknown policy 'sometimes'; use one of 'no', 'always', 'on-failure', or "
            "'unless-stopped'",
        ),
    ],
)
def test_host_configurations_that_cannot_be(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        validate.host_config(HostConfig(**asked), HOST)
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("name", "binding", "message"),
    [
        ("80/tcp", PortBinding(host_port="99999"), 'invalid port specification: "99999"'),
        ("80/tcp", PortBinding(host_port="9-8"), 'invalid port specification: "9-8"'),
        ("80/tcp", PortBinding(host_ip="1.2.3"), "invalid IP address: 1.2.3"),
        ("80/icmp", PortBinding(), 'invalid port specification: "80/icmp"'),
        ("0/tcp", PortBinding(), 'invalid port specification: "0"'),
        ("80/tcp", PortBinding(firewall="none"), "invalid firewall none of port 80/tcp: it is own or host"),
    ],
)
def test_ports_that_cannot_be_published_are_refused(name: str, binding: PortBinding, message: str) -> None:
    with pytest.raises(WharfieError) as caught:
        validate.host_config(HostConfig(port_bindings={name: [binding]}), HOST)
    assert caught.value.message == message


def test_names_directories_signals_and_log_drivers() -> None:
    for call, message in (
        (
            lambda: validate.name("bad!"),
            "Invalid container name (bad!), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
        ),
        (
            lambda: validate.config(Config(working_dir="relative"), HostConfig()),
            "the working directory 'relative' is invalid, it needs to be an absolute path",
        ),
        (lambda: validate.config(Config(stop_signal="NOSUCH"), HostConfig()), "invalid signal: NOSUCH"),
        (
            lambda: logoptions.check("nosuch", {}),
            'error looking up logging plugin nosuch: plugin "nosuch" not found',
        ),
        (
            lambda: logoptions.check("json-file", {"nosuch": "1"}),
            "unknown log opt 'nosuch' for json-file log driver",
        ),
    ):
        with pytest.raises(InvalidArgument) as caught:
            call()
        assert caught.value.message == message
    assert validate.name("/good.name-1") == "good.name-1"


def test_a_shared_network_excludes_what_belongs_to_its_owner() -> None:
    with pytest.raises(InvalidArgument, match="conflicting options: hostname and the network mode"):
        validate.network(Config(hostname="x"), HostConfig(network_mode="container:other"))
