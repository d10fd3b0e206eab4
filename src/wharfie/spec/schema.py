"""config.json's fields and their types (runtime-spec 1.2, schema/), and a check that names the field.

A kind is "s" for a string, "b" for a boolean, a pair of numbers for an integer between them, a list of one
kind for an array of it, ``{"": kind}`` for an object with any names, and else an object by its fields, those
with "!" being required. As for Go's decoder, null is the same as nothing and unknown fields are nobody's
business.
"""

from __future__ import annotations

from wharfie.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_I32, _U32 = (-(1 << 31), (1 << 31) - 1), (0, (1 << 32) - 1)
_I64, _U64, _U16 = (-(1 << 63), (1 << 63) - 1), (0, (1 << 64) - 1), (0, (1 << 16) - 1)
_STRINGS, _MAP = ["s"], {"": "s"}
_HOOKS = [{"path!": "s", "args": _STRINGS, "env": _STRINGS, "timeout": (1, _I64[1])}]
_MAPPINGS = [{"containerID!": _U32, "hostID!": _U32, "size!": _U32}]
_THROTTLE = [{"major!": _I64, "minor!": _I64, "rate!": _U64}]
_CAPABILITIES = ("bounding", "effective", "permitted", "inheritable", "ambient")

PROCESS = {
    "terminal": "b",
    "consoleSize": {"height!": _U32, "width!": _U32},
    "user": {
        "uid": _U32,
        "gid": _U32,
        "umask": _U32,
        "additionalGids": [_U32],
        "username": "s",
    },
    "args": _STRINGS,
    "env": _STRINGS,
    "cwd!": "s",
    "capabilities": dict.fromkeys(_CAPABILITIES, _STRINGS),
    "rlimits": [{"type!": "s", "soft!": _U64, "hard!": _U64}],
    "noNewPrivileges": "b",
    "apparmorProfile": "s",
    "oomScoreAdj": _I32,
    "selinuxLabel": "s",
    "ioPriority": {"class!": "s", "priority": _I32},
    "scheduler": {
        "policy!": "s",
        "nice": _I32,
        "priority": _I32,
        "flags": _STRINGS,
        "runtime": _U64,
        "deadline": _U64,
        "period": _U64,
    },
    "execCPUAffinity": {"initial": "s", "final": "s"},
}

RESOURCES = {
    "unified": _MAP,
    "devices": [{"allow!": "b", "type": "s", "major": _I64, "minor": _I64, "access": "s"}],
    "pids": {"limit": _I64},
    "blockIO": {
        "weight": _U16,
        "leafWeight": _U16,
        "weightDevice": [{"major!": _I64, "minor!": _I64, "weight": _U16, "leafWeight": _U16}],
        "throttleReadBpsDevice": _THROTTLE,
        "throttleWriteBpsDevice": _THROTTLE,
        "throttleReadIOPSDevice": _THROTTLE,
        "throttleWriteIOPSDevice": _THROTTLE,
    },
    "cpu": {
        "cpus": "s",
        "mems": "s",
        "period": _U64,
        "quota": _I64,
        "burst": _U64,
        "realtimePeriod": _U64,
        "realtimeRuntime": _I64,
        "shares": _U64,
        "idle": _I64,
    },
    "hugepageLimits": [{"pageSize!": "s", "limit!": _U64}],
    "memory": {
        "kernel": _I64,
        "kernelTCP": _I64,
        "limit": _I64,
        "reservation": _I64,
        "swap": _I64,
        "swappiness": _U64,
        "disableOOMKiller": "b",
        "useHierarchy": "b",
        "checkBeforeUpdate": "b",
    },
    "network": {"classID": _U32, "priorities": [{"name!": "s", "priority!": _U32}]},
    "rdma": {"": {"hcaHandles": _U32, "hcaObjects": _U32}},
}

_SECCOMP = {
    "defaultAction!": "s",
    "defaultErrnoRet": _U32,
    "flags": _STRINGS,
    "listenerPath": "s",
    "listenerMetadata": "s",
    "architectures": _STRINGS,
    "syscalls": [
        {
            "names!": _STRINGS,
            "action!": "s",
            "errnoRet": _U32,
            "args": [{"index!": _U32, "value!": _U64, "valueTwo": _U64, "op!": "s"}],
        }
    ],
}

_OFFSET = {"secs": _I64, "nanosecs": _U32}
_LINUX = {
    "devices": [
        {
            "type!": "s",
            "path!": "s",
            "fileMode": _U32,
            "major": _I64,
            "minor": _I64,
            "uid": _U32,
            "gid": _U32,
        }
    ],
    "netDevices": {"": {"name": "s"}},
    "uidMappings": _MAPPINGS,
    "gidMappings": _MAPPINGS,
    "namespaces": [{"type!": "s", "path": "s"}],
    "resources": RESOURCES,
    "cgroupsPath": "s",
    "rootfsPropagation": "s",
    "seccomp": _SECCOMP,
    "sysctl": _MAP,
    "maskedPaths": _STRINGS,
    "readonlyPaths": _STRINGS,
    "mountLabel": "s",
    "intelRdt": {
        "closID": "s",
        "schemata": _STRINGS,
        "l3CacheSchema": "s",
        "memBwSchema": "s",
        "enableMonitoring": "b",
    },
    "memoryPolicy": {"mode": "s", "nodes": "s", "flags": _STRINGS},
    "personality": {"domain": "s", "flags": _STRINGS},
    "timeOffsets": {"boottime": _OFFSET, "monotonic": _OFFSET},
}

CONFIG = {
    "ociVersion!": "s",
    "process": PROCESS,
    "root": {"path!": "s", "readonly": "b"},
    "hostname": "s",
    "domainname": "s",
    "mounts": [
        {
            "destination!": "s",
            "source": "s",
            "type": "s",
            "options": _STRINGS,
            "uidMappings": _MAPPINGS,
            "gidMappings": _MAPPINGS,
        }
    ],
    "hooks": dict.fromkeys(
        ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"), _HOOKS
    ),
    "annotations": _MAP,
    "linux": _LINUX,
}


def check_version(version: str) -> None:
    """Raise InvalidArgument unless it is one of the specification's first major version (SemVer 2.0.0)."""
    numbers = version.partition("-")[0].partition("+")[0].split(".")
    if len(numbers) != 3 or not all(part.isascii() and part.isdigit() for part in numbers):
        raise InvalidArgument(f'ociVersion must be a version like 1.2.0, not "{version}"')
    if int(numbers[0]) > 1:
        raise InvalidArgument(f"ociVersion {version} is not supported: up to 1.x is")


def check(value: Any, kind: Any, where: str) -> None:
    """Raise InvalidArgument, naming the field, unless ``value`` is of the kind."""
    if value is None:
        return
    if kind == "s":
        _check_string(value, where)
    elif kind == "b":
        if not isinstance(value, bool):
            raise InvalidArgument(f"{where} must be true or false, not {_spoken(value)}")
    elif isinstance(kind, tuple):
        if isinstance(value, bool) or not isinstance(value, int):
            raise InvalidArgument(f"{where} must be a whole number, not {_spoken(value)}")
        if not kind[0] <= value <= kind[1]:
            raise InvalidArgument(f"{where} must be between {kind[0]} and {kind[1]}: {value}")
    elif isinstance(kind, list):
        if not isinstance(value, list):
            raise InvalidArgument(f"{where} must be an array, not {_spoken(value)}")
        for number, item in enumerate(value):
            if item is None:
                raise InvalidArgument(f"{where}[{number}] is null")
            check(item, kind[0], f"{where}[{number}]")
    else:
        _check_object(value, kind, where)


def _check_string(value: Any, where: str) -> None:
    if not isinstance(value, str):
        raise InvalidArgument(f"{where} must be a string, not {_spoken(value)}")
    if "\0" in value:
        raise InvalidArgument(f"{where} has a NUL character in it")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidArgument(f"{where} has half a surrogate pair in it") from None


def _check_object(value: Any, kind: dict[str, Any], where: str) -> None:
    if not isinstance(value, dict):
        raise InvalidArgument(f"{where or 'config.json'} must be an object, not {_spoken(value)}")
    if "" in kind:
        for name, item in value.items():
            _check_string(name, where)
            check(item, kind[""], f"{where}[{name!r}]")
        return
    for name, inner in kind.items():
        field = name.removesuffix("!")
        found = value.get(field)
        path = f"{where}.{field}" if where else field
        if found is not None:
            check(found, inner, path)
        elif field != name:
            raise InvalidArgument(f"{path} is missing")


def _spoken(value: Any) -> str:
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "an array"}
    return names.get(type(value), "an object")
