"""Containers whose ports, networks or mounts cannot be; those that can be made are started, too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.peers.wrong_networks import Requests

PORTS: dict[str, Any] = {
    **{
        f"the port {name}": {name: [{"HostPort": "8077"}]}
        for name in ("x", "x/tcp", "80/nosuch", "0/tcp", "70000/tcp", "-1/tcp", "80-81/tcp", "80/tcp/udp",
                     "/tcp", "")
    },
    **{
        f"the host's port {text}": {"80/tcp": [{"HostPort": text}]}
        for text in ("x", "70000", "-1", "8000-7000", "8077-x", "8077/tcp", "80 80", "8088", "8088-8088")
    },
    **{
        f"the host's address {text}": {"80/tcp": [{"HostIp": text, "HostPort": "8077"}]}
        for text in ("x", "300.1.1.1", "203.0.113.99", "10.0.0", "fd71::99")
    },
    "bindings that are a word": "x",
    "bindings that are a list": ["80/tcp"],
}  # fmt: skip
EXPOSED = ("x", "80/nosuch", "70000/tcp", "80-79/tcp", "", "0/tcp")
MODES: dict[str, dict[str, Any]] = {
    "no such network": {"HostConfig": {"NetworkMode": "nosuch"}},
    "nobody's network": {"HostConfig": {"NetworkMode": "container:"}},
    "the network of nobody": {"HostConfig": {"NetworkMode": "container:nosuch"}},
    "the network of one that is stopped": {"HostConfig": {"NetworkMode": "container:here"}},
    "another's network and a host name": {"Hostname": "x", "HostConfig": {"NetworkMode": "container:there"}},
    "another's network and ports": {
        "HostConfig": {"NetworkMode": "container:there", "PortBindings": {"80/tcp": [{"HostPort": "8077"}]}}
    },
    "another's network and exposed ports": {
        "ExposedPorts": {"80/tcp": {}}, "HostConfig": {"NetworkMode": "container:there"}
    },
    "another's network and links": {"HostConfig": {"NetworkMode": "container:there", "Links": ["there"]}},
    "another's network and DNS": {"HostConfig": {"NetworkMode": "container:there", "Dns": ["10.0.0.1"]}},
    "another's network and hosts": {
        "HostConfig": {"NetworkMode": "container:there", "ExtraHosts": ["a:10.0.0.1"]}
    },
    "another's network and a hardware address": {
        "MacAddress": "02:42:01:02:03:04", "HostConfig": {"NetworkMode": "container:there"}
    },
    "the host's network and links": {"HostConfig": {"NetworkMode": "host", "Links": ["there"]}},
    "a link to nobody": {"HostConfig": {"Links": ["nosuch"]}},
    "a link without an alias": {"HostConfig": {"Links": ["there:"]}},
    "a link of three": {"HostConfig": {"Links": ["a:b:c"]}},
    "a link to the host's network": {"HostConfig": {"Links": ["onhost"]}},
    "a name server that is none": {"HostConfig": {"Dns": ["x"]}},
    "a host without an address": {"HostConfig": {"ExtraHosts": ["x"]}},
    "a host at no address": {"HostConfig": {"ExtraHosts": ["x:y"]}},
    "a hardware address that is none": {"MacAddress": "x"},
    "a hardware address of another length": {"MacAddress": "02:42:01:02"},
}  # fmt: skip
SEATS: dict[str, dict[str, Any]] = {
    **{
        f"the address {text}": {"base": {"IPAMConfig": {"IPv4Address": text}}}
        for text in (
            "x",
            "10.69.0.9",
            "10.70.0.20",
            "10.70.0.1",
            "10.70.0.2",
            "10.70.0.0",
            "10.70.0.255",
            "fd71::9",
        )
    },
    "an IPv6 address where there is none": {"base": {"IPAMConfig": {"IPv6Address": "fd71::9"}}},
    "a hardware address that is none": {"base": {"MacAddress": "x"}},
    "a network that is not there besides": {"base": {}, "nosuch": {}},
    "an alias on the default bridge besides": {"base": {}, "bridge": {"Aliases": ["x"]}},
    "the host's network besides": {"base": {}, "host": {}},
}
BINDS = (
    "", "x", ":", "/", "/etc", "a:b", "/etc:x", "/etc:", ":/x", "/etc:/", "/etc:.", "/etc:/x:",
    "/etc:/x:ro:z", "/etc:/x:nosuch", "/etc:/x:ro,rw", "/etc:/x:rw,rw", "/etc:/x:z,Z", "/etc:/x:nocopy",
    "/etc:/x:shared,private",
    "/etc:/x:ro,private,z", "x:/x:nosuch", "x:/x:shared", "x:/x:nocopy,nocopy", "a b:/x", "-x:/x", "x:/x:/y",
    "a/b:/x", "../x:/x", "./x:/x", "~/x:/x", "x::/x", "/etc:/x:ro,", "/etc:/x:,", "x:/../..", "/etc:/x/../..",
    "C:\\x:/x",
)  # fmt: skip
MOUNTS: dict[str, list[dict[str, Any]]] = {
    "nothing": [{}],
    "no type": [{"Target": "/x"}],
    "no such type": [{"Type": "nosuch", "Target": "/x"}],
    "a pipe of Windows": [{"Type": "npipe", "Source": "/etc", "Target": "/x"}],
    "no target": [{"Type": "volume", "Source": "free"}],
    "a relative target": [{"Type": "volume", "Source": "free", "Target": "x"}],
    "a target that is the root": [{"Type": "volume", "Source": "free", "Target": "/"}],
    "a target above the root": [{"Type": "volume", "Source": "free", "Target": "/../.."}],
    "a bind of nothing": [{"Type": "bind", "Target": "/x"}],
    "a bind of something relative": [{"Type": "bind", "Source": "x", "Target": "/x"}],
    "a bind of what is not there": [{"Type": "bind", "Source": "/nosuch/dir", "Target": "/x"}],
    "a bind to the root": [{"Type": "bind", "Source": "/etc", "Target": "/"}],
    "a bind with options of volumes": [
        {"Type": "bind", "Source": "/etc", "Target": "/x", "VolumeOptions": {"NoCopy": True}}],
    "a bind with options of tmpfs": [
        {"Type": "bind", "Source": "/etc", "Target": "/x", "TmpfsOptions": {"SizeBytes": 1}}],
    "a bind of no propagation": [
        {"Type": "bind", "Source": "/etc", "Target": "/x", "BindOptions": {"Propagation": "nosuch"}}],
    "a bind read-only in two ways": [
        {"Type": "bind", "Source": "/etc", "Target": "/x", "ReadOnly": True,
         "BindOptions": {"ReadOnlyNonRecursive": True, "ReadOnlyForceRecursive": True}}],
    "a bind that is writable, read-only below": [
        {"Type": "bind", "Source": "/etc", "Target": "/x", "BindOptions": {"ReadOnlyForceRecursive": True}}],
    "a bind read-only below, propagated": [
        {"Type": "bind", "Source": "/etc", "Target": "/x", "ReadOnly": True,
         "BindOptions": {"ReadOnlyForceRecursive": True, "Propagation": "rshared"}}],
    "a volume of no name": [{"Type": "volume", "Source": "a b", "Target": "/x"}],
    "a volume that is a path": [{"Type": "volume", "Source": "/etc", "Target": "/x"}],
    "a volume with options of binds": [
        {"Type": "volume", "Source": "free", "Target": "/x", "BindOptions": {"Propagation": "private"}}],
    "a volume with options of tmpfs": [
        {"Type": "volume", "Source": "free", "Target": "/x", "TmpfsOptions": {"SizeBytes": 1}}],
    "a volume of no driver": [
        {"Type": "volume", "Source": "bad", "Target": "/x",
         "VolumeOptions": {"DriverConfig": {"Name": "nosuch"}}}],
    "a volume with options that nobody knows": [
        {"Type": "volume", "Source": "bad", "Target": "/x",
         "VolumeOptions": {"DriverConfig": {"Options": {"nosuch": "1"}}}}],
    "a volume's place outside": [
        {"Type": "volume", "Source": "free", "Target": "/x", "VolumeOptions": {"Subpath": "../x"}}],
    "a volume's place from the root": [
        {"Type": "volume", "Source": "free", "Target": "/x", "VolumeOptions": {"Subpath": "/x"}}],
    "an anonymous volume, read-only": [{"Type": "volume", "Target": "/x", "ReadOnly": True}],
    "a place in an anonymous volume": [{"Type": "volume", "Target": "/x", "VolumeOptions": {"Subpath": "x"}}],
    "a tmpfs of something": [{"Type": "tmpfs", "Source": "/x", "Target": "/x"}],
    "a tmpfs below nothing": [{"Type": "tmpfs", "Target": "/x", "TmpfsOptions": {"SizeBytes": -1}}],
    "a tmpfs of no mode": [{"Type": "tmpfs", "Target": "/x", "TmpfsOptions": {"Mode": 99999}}],
    "a tmpfs on the root": [{"Type": "tmpfs", "Target": "/"}],
    "a tmpfs with options of binds": [
        {"Type": "tmpfs", "Target": "/x", "BindOptions": {"Propagation": "private"}}],
    "a tmpfs with options of volumes": [{"Type": "tmpfs", "Target": "/x", "VolumeOptions": {"NoCopy": True}}],
    "a place twice": [
        {"Type": "tmpfs", "Target": "/x"}, {"Type": "volume", "Source": "free", "Target": "/x"}],
    "a place twice, written otherwise": [
        {"Type": "tmpfs", "Target": "/x"}, {"Type": "volume", "Source": "free", "Target": "/x/"}],
    "a cluster's volume": [{"Type": "cluster", "Source": "free", "Target": "/x"}],
}  # fmt: skip
TMPFS: dict[str, Any] = {
    **{f"at {path!r}": {path: ""} for path in ("", "x", "/", "/x/../..", ".")},
    **{
        f"with {options}": {"/x": options}
        for options in (
            "nosuch",
            "size=x",
            "size",
            "mode=999",
            "mode=rw",
            "uid=x",
            "lowerdir=/etc",
            ",",
            "size=-1",
        )
    },
    "that is a list": ["/x"],
}
BESIDES: dict[str, dict[str, Any]] = {
    "a bind and a mount at one place": {"Binds": ["/etc:/x"], "Mounts": [{"Type": "tmpfs", "Target": "/x"}]},
    "a bind and a tmpfs at one place": {"Binds": ["/etc:/x"], "Tmpfs": {"/x": ""}},
    "a tmpfs and a mount at one place": {"Tmpfs": {"/x": ""}, "Mounts": [{"Type": "tmpfs", "Target": "/x"}]},
    "two binds at one place": {"Binds": ["/etc:/x", "/var:/x"]},
    "the volumes of nobody": {"VolumesFrom": ["nosuch"]},
    "the volumes of nobody named": {"VolumesFrom": [""]},
    "the volumes of another, in no mode": {"VolumesFrom": ["there:nosuch"]},
    "the volumes of another, in a mode of binds": {"VolumesFrom": ["there:nocopy"]},
    "no such volume driver": {"VolumeDriver": "nosuch", "Binds": ["bad:/x"]},
    "a layer's option that nobody knows": {"StorageOpt": {"nosuch": "1"}},
    "a layer's size that is none": {"StorageOpt": {"size": "x"}},
    "shared memory below nothing": {"ShmSize": -1},
    "binds that are a word": {"Binds": "/etc:/x"},
    "mounts that are a word": {"Mounts": "x"},
}


def _made(body: dict[str, Any]) -> Requests:
    return [
        ("POST", "/containers/create?name=bad", {"Image": "busybox", "Cmd": ["true"], **body}),
        ("POST", "/containers/bad/start", None),
    ]


def table() -> Iterator[tuple[str, Requests]]:
    for name, bindings in PORTS.items():
        # as the command lines send it: what is published is exposed
        exposed = {"ExposedPorts": {key: {} for key in bindings}} if isinstance(bindings, dict) else {}
        yield f"publish: {name}", _made({**exposed, "HostConfig": {"PortBindings": bindings}})
    for port in EXPOSED:
        yield f"expose: {port!r}", _made({"ExposedPorts": {port: {}}})
    for name, body in MODES.items():
        yield f"container: {name}", _made(body)
    for name, endpoints in SEATS.items():
        body = {"HostConfig": {"NetworkMode": "base"}, "NetworkingConfig": {"EndpointsConfig": endpoints}}
        yield f"seat: {name}", _made(body)
    for text in BINDS:
        yield f"bind: {text!r}", _made({"HostConfig": {"Binds": [text]}})
    for name, mounts in MOUNTS.items():
        yield f"mount: {name}", _made({"HostConfig": {"Mounts": mounts}})
    for name, tmpfs in TMPFS.items():
        yield f"tmpfs {name}", _made({"HostConfig": {"Tmpfs": tmpfs}})
    for name, host in BESIDES.items():
        yield f"mounts: {name}", _made({"HostConfig": host})
