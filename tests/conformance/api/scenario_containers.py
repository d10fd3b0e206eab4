"""Every operation on containers and execs: once as it is meant, and once for each error that it documents."""

from __future__ import annotations

import io
import os
import socket
import tarfile
from typing import Any

from tests.conformance.api.recorder import Recorder
from tests.ours import until

WEBSOCKET = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "d2hhcmZpZS13aGFyZmllIQ==",
}
UPGRADE = {"Connection": "Upgrade", "Upgrade": "tcp"}
NOBODY = "nobody-made-this"
SLEEP = {"Image": "busybox", "Cmd": ["sleep", "1000"]}


def play(api: Recorder) -> None:
    """All of it, on an engine with ``busybox`` and nothing else."""
    made = create(api, "first", **everything())
    on_paper(api)
    lists(api, made)
    life(api, made)
    looks(api)
    files(api)
    streams(api)
    executions(api)
    refusals(api)
    ends(api)


def create(api: Recorder, name: str, **body: Any) -> str:
    """Make one; its id."""
    made = api.call("ContainerCreate", query={"name": name}, body={**SLEEP, **body}, expect=201)
    identifier: str = made["Id"]
    return identifier


def everything() -> dict[str, Any]:
    """A container with something in as many fields as one can have at a time."""
    return {
        "Hostname": "h",
        "Env": ["A=b"],
        "Labels": {"suite": "openapi"},
        "ExposedPorts": {"80/tcp": {}},
        "Volumes": {"/data": {}},
        "OpenStdin": True,
        "StopSignal": "SIGKILL",
        "StopTimeout": 1,
        "Shell": ["/bin/sh", "-c"],
        "Healthcheck": {
            "Test": ["CMD", "true"],
            "Interval": 100_000_000,
            "Timeout": 5_000_000_000,
            "Retries": 3,
            "StartPeriod": 1_000_000_000,
            "StartInterval": 100_000_000,
        },
        "HostConfig": {
            "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]},
            "Mounts": [
                {
                    "Type": "volume",
                    "Source": "vol",
                    "Target": "/vol",
                    "VolumeOptions": {"Labels": {"a": "b"}},
                },
                {"Type": "tmpfs", "Target": "/tmp/t", "TmpfsOptions": {"SizeBytes": 1 << 20, "Mode": 0o700}},
                {
                    "Type": "bind",
                    "Source": "/tmp",
                    "Target": "/bound",
                    "ReadOnly": True,
                    "BindOptions": {"Propagation": "rprivate", "NonRecursive": True},
                },
            ],
            "Annotations": {"note": "x"},
            "Sysctls": {"net.ipv4.ip_forward": "1"},
            "Tmpfs": {"/scratch": "size=1m"},
            "Init": False,
            "PidsLimit": 100,
            "Ulimits": [{"Name": "nofile", "Soft": 512, "Hard": 512}],
            "ExtraHosts": ["other:10.0.0.1"],
            "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 1},
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
        },
    }


def on_paper(api: Recorder) -> None:
    """What can be asked for, and be looked at, without a machine that has it."""
    mounts = [
        {
            "Type": "volume",
            "Source": "paper",
            "Target": "/one",
            "Consistency": "cached",
            "VolumeOptions": {
                "NoCopy": True,
                "Subpath": "sub",
                "DriverConfig": {"Name": "local", "Options": {"type": "tmpfs", "device": "tmpfs"}},
            },
        },
        {"Type": "image", "Source": "busybox", "Target": "/two", "ImageOptions": {"Subpath": "bin"}},
        {"Type": "tmpfs", "Target": "/three", "TmpfsOptions": {"Options": [["noexec"]]}},
        {
            "Type": "bind",
            "Source": f"{os.path.dirname(api.path)}/bound",
            "Target": "/four",
            "ReadOnly": True,
            "BindOptions": {
                "CreateMountpoint": True,
                "ReadOnlyForceRecursive": True,
                "Propagation": "rprivate",
            },
        },
        {
            "Type": "bind",
            "Source": "/tmp",
            "Target": "/five",
            "ReadOnly": True,
            "BindOptions": {"ReadOnlyNonRecursive": True},
        },
    ]
    rate = [{"Path": "/dev/null", "Rate": 1024}]
    host = {
        "Mounts": mounts,
        "NetworkMode": "bridge",
        "PidsLimit": 10,
        "MemorySwappiness": 10,
        "Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/n", "CgroupPermissions": "rwm"}],
        "BlkioDeviceReadBps": rate,
        "BlkioDeviceWriteBps": rate,
    }
    create(api, "paper", HostConfig=host, MacAddress="02:42:ac:11:00:09", ArgsEscaped=True)
    api.call("ContainerInspect", "paper", expect=200)
    api.call("ContainerDelete", "paper", query={"v": "1"}, expect=204)
    create(api, "paper", NetworkDisabled=True)
    api.call("ContainerInspect", "paper", expect=200)
    api.call("ContainerDelete", "paper", expect=204)


def lists(api: Recorder, made: str) -> None:
    """With every filter and parameter."""
    every = {
        "ancestor": ["busybox"],
        "label": ["suite=openapi"],
        "name": ["fir"],
        "id": [made[:8]],
        "status": ["created"],
        "is-task": ["false"],
        "health": ["starting", "none"],
        "expose": ["80"],
        "volume": ["vol"],
        "network": ["bridge"],
        "publish": ["80/tcp"],
        "isolation": ["default"],
    }
    found = api.call("ContainerList", query={"all": "1", "size": "1", "filters": every}, expect=200)
    assert [one["Id"] for one in found] == [made]
    for name in ("before", "since"):
        found = api.call("ContainerList", query={"all": "1", "filters": {name: [made]}}, expect=200)
        assert not found
    found = api.call("ContainerList", query={"limit": "1", "filters": {"exited": ["0"]}}, expect=200)
    assert not found
    for wrong in ("{", '{"colour": ["red"]}', '{"status": ["happy"]}'):
        api.call("ContainerList", query={"filters": wrong}, expect=400)


def life(api: Recorder, made: str) -> None:
    """From the start to the end, with every verb."""
    api.call("ContainerStart", "first", query={"detachKeys": "ctrl-a"}, expect=204)
    api.call("ContainerStart", made, expect=304)
    api.call("ContainerPause", "first", expect=204)
    api.call("ContainerUnpause", "first", expect=204)
    api.call("ContainerUpdate", "first", body={"Memory": 1 << 26, "MemorySwap": -1}, expect=200)
    api.call("ContainerRename", "first", query={"name": "renamed"}, expect=204)
    api.call("ContainerRename", "renamed", query={"name": "first"}, expect=204)
    api.call("ContainerRestart", "first", query={"t": "0", "signal": "KILL"}, expect=204)
    api.call("ContainerKill", "first", query={"signal": "0"}, expect=400)
    api.call("ContainerKill", "first", query={"signal": "CONT"}, expect=204)
    create(api, "short", Cmd=["sh", "-c", "echo out; echo err >&2; exit 3"])
    api.call("ContainerStart", "short", expect=204)
    assert api.call("ContainerWait", "short", expect=200)["StatusCode"] == 3
    api.call("ContainerWait", "short", query={"condition": "whenever"}, expect=400)
    api.call("ContainerStop", "short", expect=304)
    create(api, "doomed")
    api.call("ContainerStart", "doomed", expect=204)
    api.call("ContainerStop", "doomed", query={"t": "0", "signal": "TERM"}, expect=204)


def looks(api: Recorder) -> None:
    """Everything that can be looked at, of one that runs and of one that does not."""
    until(
        lambda: api.call("ContainerInspect", "first", expect=200)["State"]["Health"]["Log"], "no health check"
    )
    for name in ("first", "short"):
        found = api.call("ContainerInspect", name, query={"size": "1"}, expect=200)
        assert found["Name"] == f"/{name}"
    assert "out\n" in api.call(
        "ContainerLogs",
        "short",
        query={
            "stdout": "1",
            "stderr": "1",
            "timestamps": "1",
            "tail": "5",
            "since": "0",
            "until": "0",
            "details": "1",
        },
        expect=200,
    ).decode("latin-1")
    api.call("ContainerTop", "first", expect=200)
    api.call("ContainerTop", "first", query={"ps_args": "aux"}, expect=200)
    api.call("ContainerStats", "first", query={"stream": "0"}, expect=200)
    api.call("ContainerStats", "first", query={"stream": "0", "one-shot": "1"}, expect=200)
    api.call("ContainerStats", "short", query={"stream": "0"}, expect=200)
    api.call("ContainerResize", "first", query={"h": "24", "w": "80"}, expect=200)


def archive(**names: bytes) -> bytes:
    """A tar of these files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as made:
        for name, content in names.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            made.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def files(api: Recorder) -> None:
    """Archives in and out, the difference, the whole."""
    api.call(
        "PutContainerArchive",
        "first",
        query={"path": "/tmp", "noOverwriteDirNonDir": "1", "copyUIDGID": "1"},
        body=archive(f=b"x"),
        expect=200,
    )
    api.call("ContainerArchiveInfo", "first", query={"path": "/tmp/f"}, expect=200)
    assert b"f" in api.call("ContainerArchive", "first", query={"path": "/tmp/f"}, expect=200)
    assert {"Path": "/tmp/f", "Kind": 1} in api.call("ContainerChanges", "first", expect=200)
    assert len(api.call("ContainerExport", "first", expect=200)) > 1 << 20
    create(api, "readonly", HostConfig={"ReadonlyRootfs": True})
    api.call("PutContainerArchive", "readonly", query={"path": "/etc"}, body=archive(f=b"x"), expect=403)
    api.call("PutContainerArchive", "first", query={"path": "/tmp"}, body=b"no archive", expect=400)
    for operation in ("ContainerArchive", "ContainerArchiveInfo"):
        api.call(operation, "first", expect=400)
        api.call(operation, "first", query={"path": "/nothing"}, expect=404)
    api.call("PutContainerArchive", "first", query={"path": "/no"}, body=archive(f=b"x"), expect=404)


def streams(api: Recorder) -> None:
    """Attached in each way."""
    create(api, "cat", Cmd=["cat"], OpenStdin=True, StdinOnce=True)
    query = {"stream": "1", "stdin": "1", "stdout": "1"}
    first = api.call("ContainerAttach", "cat", query=query, headers=UPGRADE, expect=101)
    api.call("ContainerStart", "cat", expect=204)
    first.sendall(b"over\n")
    first.shutdown(socket.SHUT_WR)
    assert read(first).endswith(b"over\n")
    query = {"logs": "1", "stdout": "1", "stderr": "1"}
    assert b"over" in api.call("ContainerAttach", "cat", query=query, expect=200)
    api.call("ContainerAttach", "first", query={"detachKeys": "ctrl-1"}, expect=400)
    web = api.call("ContainerAttachWebsocket", "cat", query=query, headers=WEBSOCKET, expect=101)
    assert b"over" in read(web)
    api.call("ContainerAttachWebsocket", "cat", query=query, expect=400)


def read(stream: socket.socket) -> bytes:
    """All that comes until the end, which then is closed."""
    got = b""
    with stream:
        while data := stream.recv(65536):
            got += data
            if data.endswith(b"\x88\x02\x03\xe8"):
                stream.sendall(b"\x88\x80\0\0\0\0")
    return got


def executions(api: Recorder) -> None:
    """Further processes, with every option and every refusal."""
    made = api.call(
        "ContainerExec",
        "first",
        expect=201,
        body={
            "Cmd": ["sh", "-c", "echo up; cat"],
            "AttachStdin": True,
            "AttachStdout": True,
            "Tty": True,
            "Env": ["A=b"],
            "User": "0:0",
            "WorkingDir": "/tmp",
            "Privileged": True,
            "DetachKeys": "ctrl-x",
            "ConsoleSize": [24, 80],
        },
    )["Id"]
    stream = api.call("ExecStart", made, body={"Tty": True}, headers=UPGRADE, expect=101)
    assert stream.recv(1) == b"u"  # it has begun
    api.call("ExecResize", made, query={"h": "30", "w": "90"}, expect=200)
    api.call("ExecResize", made, query={"h": "many"}, expect=400)
    assert api.call("ExecInspect", made, expect=200)["Running"] is True
    api.call("ExecStart", made, body={}, expect=409)
    stream.sendall(b"\x04")
    read(stream)
    assert api.call("ExecInspect", made, expect=200)["ExitCode"] == 0
    api.call("ExecStart", made, body={"Detach": True}, expect=409)
    made = api.call("ContainerExec", "first", body={"Cmd": ["true"]}, expect=201)["Id"]
    api.call("ExecStart", made, body={"Detach": True}, expect=200)
    for operation, body in (("ExecStart", {}), ("ExecResize", None), ("ExecInspect", None)):
        api.call(operation, NOBODY, query={"h": "1", "w": "1"}, body=body, expect=404)
    api.call("ContainerExec", NOBODY, body={"Cmd": ["true"]}, expect=404)
    api.call("ContainerExec", "short", body={"Cmd": ["true"]}, expect=409)


def refusals(api: Recorder) -> None:
    """What is not there, what is wrong, and what is at odds with how things are."""
    asked: dict[str, dict[str, Any]] = {
        "ContainerLogs": {"stdout": "1"},
        "ContainerStats": {"stream": "0"},
        "ContainerResize": {"h": "1", "w": "1"},
        "ContainerRename": {"name": "other"},
        "ContainerArchive": {"path": "/"},
        "ContainerArchiveInfo": {"path": "/"},
    }
    verbs = (
        "Inspect",
        "Top",
        "Logs",
        "Changes",
        "Export",
        "Stats",
        "Resize",
        "Start",
        "Stop",
        "Restart",
        "Kill",
        "Rename",
        "Pause",
        "Unpause",
        "Wait",
        "Delete",
        "Attach",
        "AttachWebsocket",
        "Archive",
        "ArchiveInfo",
    )
    for verb in verbs:
        operation = f"Container{verb}"
        api.call(operation, NOBODY, query=asked.get(operation), expect=404)
    api.call("ContainerUpdate", NOBODY, body={}, expect=404)
    api.call("ContainerCreate", body={"Image": "nobody/made:this"}, expect=404)
    api.call("ContainerCreate", query={"name": "first"}, body=SLEEP, expect=409)
    for wrong in (
        {"HostConfig": {"Memory": 1}},
        {"HostConfig": {"NetworkMode": "container:"}},
        {"Tty": "yes"},
        {"HostConfig": {"RestartPolicy": {"Name": "sometimes"}}},
    ):
        api.call("ContainerCreate", body={**SLEEP, **wrong}, expect=400)
    api.call("ContainerStart", "readonly", body={"Binds": []}, expect=400)
    api.call("ContainerKill", "short", expect=409)
    api.call("ContainerRename", "short", query={"name": "first"}, expect=409)
    api.call("ContainerDelete", "first", expect=409)


def ends(api: Recorder) -> None:
    """Removed, one by one and together."""
    # of seventeen ids two begin with the same digit
    ids = [create(api, f"many{number}") for number in range(17)]
    first = next(one[0] for at, one in enumerate(ids) if any(other[0] == one[0] for other in ids[:at]))
    api.call("ContainerDelete", first, expect=400)
    for identifier in ids:
        api.call("ContainerDelete", identifier, query={"v": "1", "force": "1"}, expect=204)
    found = api.call("ContainerPrune", query={"filters": {"until": ["1s"], "label!": ["keep"]}}, expect=200)
    assert set(found) == {"ContainersDeleted", "SpaceReclaimed"}
    api.call("ContainerPrune", expect=200)
