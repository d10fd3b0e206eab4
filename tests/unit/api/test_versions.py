"""Older versions of the API: the fields their answers had, and what their requests meant."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.api.fakes import Api

OLDEST, LATEST = 24, 51
INFO = {
    "BridgeNfIptables": (24, 49),
    "BridgeNfIp6tables": (24, 49),
    "FirewallBackend": (49, 51),
    "KernelMemory": (24, 41),
    "KernelMemoryTCP": (24, 41),
    "ExecutionDriver": (24, 24),
}
IMAGE = {"ContainerConfig": (24, 44), "VirtualSize": (24, 43)}


async def asked(api: Api, version: int, path: str, method: str = "GET", body: Any = None) -> Any:
    status, _, answer = await api.ask(
        method, f"/v1.{version}{path}", b"" if body is None else json.dumps(body).encode()
    )
    assert status < 300, answer
    return json.loads(answer)


def between(fields: dict[str, tuple[int, int]], version: int) -> set[str]:
    return {name for name, (first, last) in fields.items() if first <= version <= last}


@pytest.mark.parametrize("version", range(OLDEST, LATEST + 1))
async def test_each_version_has_its_fields(api: Api, version: int) -> None:
    info = await asked(api, version, "/info")
    assert set(INFO) & set(info) == between(INFO, version)
    assert ("Expected" in info["RuncCommit"]) is (version < 49)
    assert ("AllowNondistributableArtifactsCIDRs" in info["RegistryConfig"]) is (version < 47)
    assert ("status" in info["Runtimes"]["wharfie-runtime"]) is (version >= 44)
    assert info["SecurityOptions"] == (["seccomp"] if version < 25 else ["name=seccomp,profile=builtin"])
    image = await asked(api, version, "/images/x/json")
    assert set(IMAGE) & set(image) == between(IMAGE, version)
    assert ("Hostname" in image["Config"]) is (version < 50)
    container = await asked(api, version, "/containers/x/json")
    aliases = container["NetworkSettings"]["Networks"]["mine"]["Aliases"]
    assert aliases == (["web"] if version >= 45 else ["web", container["Id"][:12], "h"])
    assert ("GwPriority" in container["NetworkSettings"]["Networks"]["mine"]) is (version >= 48)
    assert ("EnableIPv4" in await asked(api, version, "/networks/mine")) is (version >= 48)
    assert ("BuilderSize" in await asked(api, version, "/system/df")) is (version < 42)


@pytest.mark.parametrize(
    ("version", "tags", "containers"),
    [(42, ["<none>:<none>"], -1), (43, [], -1), (50, [], -1), (51, [], 3)],
)
async def test_images_without_a_name_and_their_containers(
    api: Api, version: int, tags: list[str], containers: int
) -> None:
    nameless = (await asked(api, version, "/images/json"))[1]
    assert (nameless["RepoTags"], nameless["Containers"]) == (tags, containers)
    assert ("VirtualSize" in nameless) is (version < 44)


async def test_parameters_of_later_versions_are_not_looked_at(api: Api) -> None:
    await asked(api, 40, "/images/json?filter=busybox&shared-size=1")
    assert api.images.calls[-1][1]["filters"] == {"reference": ["busybox"]}
    assert api.images.calls[-1][1]["shared_size"] is False
    for version, wanted in ((41, ""), (42, "INT")):
        await api.ask("POST", f"/v1.{version}/containers/x/stop?signal=INT")
        assert api.containers.calls[-1] == ("stop", "x", None, wanted)
    await asked(api, 40, "/containers/x/stats?stream=0&one-shot=1")
    api.containers.exits.set_result(0)
    for version, wanted in ((29, ""), (30, "removed")):
        await api.ask("POST", f"/v1.{version}/containers/x/wait?condition=removed")
        assert api.containers.calls[-1] == ("wait", "x", wanted)


CREATE = {
    "Image": "busybox",
    "Healthcheck": {"StartInterval": 5},
    "HostConfig": {
        "Annotations": {"a": "b"},
        "ConsoleSize": [1, 2],
        "KernelMemory": 5,
        "Mounts": [{"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": True,
                    "BindOptions": {"NonRecursive": True, "CreateMountpoint": True}}],
    },
}  # fmt: skip


async def test_fields_of_later_versions_are_not_there_in_a_create(api: Api) -> None:
    async def made(version: int) -> Any:
        await asked(api, version, "/containers/create", "POST", CREATE)
        return api.containers.bodies[-1]

    assert (await made(51)).host_config.kernel_memory == 0
    assert (await made(51)).healthcheck.start_interval == 5
    assert (await made(43)).healthcheck.start_interval == 0
    assert (await made(43)).host_config.mounts[0].bind_options.read_only_non_recursive is True
    assert (await made(42)).host_config.annotations is None
    assert (await made(42)).host_config.console_size == (1, 2)
    old = (await made(41)).host_config
    assert (old.console_size, old.kernel_memory) == ((0, 0), 5)
    assert old.mounts[0].bind_options.create_mountpoint is False
    assert (old.cgroupns_mode, old.ipc_mode) == ("", "")
    old = (await made(39)).host_config
    assert (old.cgroupns_mode, old.ipc_mode) == ("host", "shareable")
    assert old.mounts[0].bind_options.non_recursive is False


@pytest.mark.parametrize(
    ("version", "body", "message"),
    [
        (47, {"HostConfig": {"Mounts": [{"Type": "image"}]}}, "Mount type image needs API v1.48 or newer"),
        (44, {"HostConfig": {"Mounts": [{"Type": "volume", "VolumeOptions": {"Subpath": "s"}}]}},
         "VolumeOptions.Subpath needs API v1.45 or newer"),
        (43, {"HostConfig": {"Mounts": [{"Type": "bind", "BindOptions": {"ReadOnlyForceRecursive": True}}]}},
         "BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer"),
        (43, {"NetworkingConfig": {"EndpointsConfig": {"b": None, "a": None}}},
         "Container cannot be connected to network endpoints: a, b"),
    ],
)  # fmt: skip
async def test_what_a_version_cannot_do_is_refused(
    api: Api, version: int, body: dict[str, Any], message: str
) -> None:
    status, _, answer = await api.ask("POST", f"/v1.{version}/containers/create", json.dumps(body).encode())
    assert (status, json.loads(answer)["message"]) == (400, message)
    assert (await api.ask("POST", "/v1.51/containers/create", json.dumps(body).encode()))[0] == 201
