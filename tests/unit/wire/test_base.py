"""API types: what is written, what is left out, what is forgiven."""

from __future__ import annotations

import msgspec
import pytest

from wharfie.errors import InvalidArgument
from wharfie.wire.base import decode, encode
from wharfie.wire.config import Config, EndpointSettings, HostConfig
from wharfie.wire.containers import CreateContainer, State, UpdateContainer


def written(value: object) -> dict[str, object]:
    return msgspec.json.decode(encode(value), type=dict[str, object])


def test_fields_that_docker_always_writes_are_written_empty() -> None:
    found = written(Config())
    assert (found["Hostname"], found["Env"], found["Tty"]) == ("", None, False)


def test_fields_that_go_marks_omitempty_are_left_out_when_empty() -> None:
    assert not {"StopSignal", "StopTimeout", "Healthcheck", "Shell", "ExposedPorts"} & set(written(Config()))
    assert written(Config(stop_signal="SIGINT", stop_timeout=0))["StopTimeout"] == 0
    assert "KernelMemory" not in written(HostConfig())


def test_spellings_that_are_not_pascal_case() -> None:
    names = set(written(HostConfig(kernel_memory_tcp=1)))
    assert {"UTSMode", "ContainerIDFile", "BlkioDeviceReadIOps", "IOMaximumIOps", "KernelMemoryTCP"} <= names
    assert {"CpuShares", "NanoCpus", "Dns", "CgroupnsMode", "CpusetCpus", "OomScoreAdj"} <= names
    endpoint = set(written(EndpointSettings()))
    assert {"IPAMConfig", "IPAddress", "GlobalIPv6PrefixLen", "DNSNames", "NetworkID"} <= endpoint
    assert "OOMKilled" in written(State(status="running"))


def test_a_stored_configuration_comes_back_as_it_was() -> None:
    config = Config(image="x", cmd=["a"], exposed_ports={"80/tcp": {}}, labels={"a": ""}, stop_timeout=3)
    host = HostConfig(memory=5, console_size=(24, 80), init=False, oom_kill_disable=True)
    assert decode(encode(config), Config) == config
    assert decode(encode(host), HostConfig) == host


def test_nulls_and_single_strings_are_taken_as_docker_takes_them() -> None:
    made = decode(
        b'{"Hostname":null,"Tty":null,"Cmd":"sh","Volumes":{"/v":null},"Entrypoint":["a"],'
        b'"HostConfig":{"Memory":null,"PortBindings":{"80/tcp":null},"CapAdd":"ALL"}}',
        CreateContainer,
    )
    assert (made.hostname, made.tty, made.cmd, made.entrypoint) == ("", False, ["sh"], ["a"])
    assert made.volumes == {"/v": None}
    assert made.host_config.port_bindings == {"80/tcp": None}
    assert made.host_config.cap_add == ["ALL"]


def test_the_portable_part_of_a_create_stands_alone() -> None:
    made = decode(b'{"Image":"i","User":"u","HostConfig":{}}', CreateContainer)
    assert made.config() == Config(image="i", user="u")
    assert type(made.config()) is Config


def test_an_update_carries_limits_and_a_policy() -> None:
    made = decode(b'{"PidsLimit":-1,"RestartPolicy":{"Name":"always"}}', UpdateContainer)
    assert (made.pids_limit, made.restart_policy.name, made.memory) == (-1, "always", 0)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"Env":[1]}', b'{"HostConfig":{"Memory":"1g"}}'])
def test_what_cannot_be_read_is_the_client_s_fault(body: bytes) -> None:
    with pytest.raises(InvalidArgument, match="invalid JSON"):
        decode(body, CreateContainer)


def test_a_configuration_cannot_be_changed_in_place() -> None:
    with pytest.raises(AttributeError):
        Config().image = "other"  # type: ignore[misc]
