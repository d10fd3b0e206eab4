"""Every operation on volumes, networks, the daemon, plugins, and the swarm that this engine is not in."""

from __future__ import annotations

import time

from tests.conformance.api import spec
from tests.conformance.api.recorder import Recorder
from tests.conformance.api.scenario_containers import NOBODY, SLEEP

DOCUMENTS = frozenset({"POST", "PUT"})


def play(api: Recorder) -> None:
    """All of it."""
    volumes(api)
    networks(api)
    daemon(api)
    plugins(api)
    swarm(api)


def volumes(api: Recorder) -> None:
    """Made, looked at, removed."""
    body = {
        "Name": "one",
        "Driver": "local",
        "DriverOpts": {"type": "tmpfs", "device": "tmpfs"},
        "Labels": {"a": "b"},
    }
    api.call("VolumeCreate", body=body, expect=201)
    every = {"name": ["on"], "label": ["a=b"], "driver": ["local"], "dangling": ["true"]}
    assert [
        one["Name"] for one in api.call("VolumeList", query={"filters": every}, expect=200)["Volumes"]
    ] == ["one"]
    api.call("VolumeInspect", "one", expect=200)
    for operation in ("VolumeInspect", "VolumeDelete"):
        api.call(operation, NOBODY, expect=404)
    mounts = [{"Type": "volume", "Source": "used", "Target": "/v"}]
    api.call(
        "ContainerCreate",
        query={"name": "user"},
        body={**SLEEP, "HostConfig": {"Mounts": mounts}},
        expect=201,
    )
    api.call("VolumeDelete", "used", expect=409)
    api.call("VolumeUpdate", "used", query={"version": "1"}, body={}, expect=503)
    api.call("SystemDataUsage", query={"type": ["volume", "container"]}, expect=200)
    api.call("ContainerDelete", "user", query={"v": "1"}, expect=204)
    api.call("VolumeDelete", "used", query={"force": "1"}, expect=204)
    api.call("VolumePrune", query={"filters": {"all": ["1"]}}, expect=200)


def networks(api: Recorder) -> None:
    """Made, joined, left, removed."""
    body = {
        "Name": "mine",
        "Driver": "bridge",
        "Internal": True,
        "Attachable": True,
        "EnableIPv6": True,
        "IPAM": {
            "Config": [
                {
                    "Subnet": "10.98.0.0/24",
                    "Gateway": "10.98.0.1",
                    "IPRange": "10.98.0.0/25",
                    "AuxiliaryAddresses": {"router": "10.98.0.2"},
                },
                {"Subnet": "fd00:98::/64"},
            ]
        },
        "Options": {"com.docker.network.bridge.enable_icc": "true"},
        "Labels": {"a": "b"},
    }
    made = api.call("NetworkCreate", body=body, expect=201)["Id"]
    api.call("NetworkCreate", body={"Name": "host"}, expect=403)
    api.call("NetworkCreate", body={"Name": "x", "Driver": "nobody-made-this"}, expect=404)
    api.call("NetworkCreate", body={"Name": ""}, expect=400)
    every = {
        "name": ["mine"],
        "label": ["a=b"],
        "driver": ["bridge"],
        "dangling": ["true"],
        "id": [made[:8]],
        "scope": ["local"],
        "type": ["custom"],
    }
    assert [one["Id"] for one in api.call("NetworkList", query={"filters": every}, expect=200)] == [made]
    api.call("ContainerCreate", query={"name": "member"}, body=SLEEP, expect=201)
    api.call("ContainerStart", "member", expect=204)
    endpoint = {
        "IPAMConfig": {
            "IPv4Address": "10.98.0.9",
            "IPv6Address": "fd00:98::9",
            "LinkLocalIPs": ["169.254.9.9"],
        },
        "Aliases": ["also"],
        "GwPriority": 1,
        "DriverOpts": {"com.example": "x"},
    }
    api.call("NetworkConnect", "mine", body={"Container": "member", "EndpointConfig": endpoint}, expect=200)
    api.call("NetworkInspect", "mine", query={"verbose": "1", "scope": "local"}, expect=200)
    inspected = api.call("ContainerInspect", "member", expect=200)["NetworkSettings"]["Networks"]["mine"]
    assert (inspected["IPAddress"], inspected["GlobalIPv6Address"]) == ("10.98.0.9", "fd00:98::9")
    refusals(api)
    api.call("NetworkDisconnect", "mine", body={"Container": "member", "Force": True}, expect=200)
    api.call("ContainerDelete", "member", query={"force": "1"}, expect=204)
    api.call("NetworkDelete", "mine", expect=204)
    api.call("NetworkPrune", query={"filters": {"until": ["1s"]}}, expect=200)


def refusals(api: Recorder) -> None:
    """Of networks."""
    for operation in ("NetworkInspect", "NetworkDelete"):
        api.call(operation, NOBODY, expect=404)
    api.call("NetworkDelete", "mine", expect=403)
    for operation in ("NetworkConnect", "NetworkDisconnect"):
        api.call(operation, NOBODY, body={"Container": "member"}, expect=404)
    api.call("NetworkDisconnect", "host", body={"Container": "member"}, expect=403)
    api.call("NetworkConnect", "mine", body={"Container": "member"}, expect=403)
    api.call("NetworkConnect", "host", body={"Container": "member"}, expect=400)


def daemon(api: Recorder) -> None:
    """What it is and what happened in it."""
    api.call("SystemPing", expect=200)
    api.call("SystemPingHead", expect=200)
    info = api.call("SystemInfo", expect=200)
    assert info["Swarm"]["LocalNodeState"] == "inactive"
    api.call("SystemVersion", expect=200)
    api.call("SystemDataUsage", expect=200)
    assert not api.call("SystemEvents", query={"since": "1", "until": "2.5"}, expect=200)
    query = {
        "since": "1",
        "until": f"{time.time():.9f}",
        "filters": {"type": ["network"], "scope": ["local"]},
    }
    made = api.call("SystemEvents", query=query, expect=200)
    assert {"create", "connect", "disconnect", "destroy"} <= {one["Action"] for one in made}
    api.call("SystemEvents", query={"filters": "{"}, expect=400)
    api.call("SystemEvents", query={"since": "20", "until": "10"}, expect=400)


def plugins(api: Recorder) -> None:
    """There are none."""
    api.call("PluginList", query={"filters": {"enabled": ["true"]}}, expect=200)
    for operation in (
        "PluginInspect",
        "PluginDelete",
        "PluginEnable",
        "PluginDisable",
        "PluginPush",
        "PluginSet",
    ):
        body = ["A=b"] if operation == "PluginSet" else None
        api.call(operation, NOBODY, query={"timeout": "0"}, body=body, expect=404)
    api.call("PluginUpgrade", NOBODY, query={"remote": "x"}, body=[], expect=404)
    for operation, body in (("GetPluginPrivileges", None), ("PluginPull", []), ("PluginCreate", b"")):
        api.call(operation, query={"remote": "x", "name": "y"}, body=body, expect=501)


def swarm(api: Recorder) -> None:
    """Every operation of a swarm, on an engine that is in none."""
    for one in spec.operations().values():
        if one.tag not in spec.SWARM:
            continue
        body = {} if one.method in DOCUMENTS else None
        query = {"version": "1", "stdout": "1"}
        begun = one.id in ("SwarmInit", "SwarmJoin")
        api.call(one.id, "x", query=query, body=body, expect=500 if begun else 503)
        if 400 in one.statuses:
            api.call(one.id, "x", body=b"{", headers={"Content-Type": "application/json"}, expect=400)
