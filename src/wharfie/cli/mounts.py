"""What ``--mount``, ``--gpus``, ``-v`` and ``--device`` say, as the API's objects."""

from __future__ import annotations

from wharfie.cli.kinds import boolean, integer
from wharfie.support import csvline
from wharfie.support.environment import variable
from wharfie.support.units import parse_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_FLAGS = ("readonly", "ro", "volume-nocopy", "bind-nonrecursive", "bind-create-src", "idmap")


def parse_mount(text: str) -> dict[str, Any]:
    """One ``--mount``; raises ValueError in Docker's words."""
    mount: dict[str, Any] = {"Type": "volume"}
    for field in csvline.split(text):
        key, equals, value = field.partition("=")
        key = key.strip().lower()
        if not equals:
            if key not in _FLAGS:
                raise ValueError(f"invalid field '{field}' must be a key=value pair")
            value = "true"
        _mount_field(mount, key, value, field)
    if not mount.get("Target"):
        raise ValueError("target is required")
    for options, kind, name in (
        ("VolumeOptions", "volume", "volume-*"),
        ("BindOptions", "bind", "bind-*"),
        ("TmpfsOptions", "tmpfs", "tmpfs-*"),
        ("ImageOptions", "image", "image-*"),
    ):
        if options in mount and mount["Type"] != kind:
            raise ValueError(f"cannot mix '{name}' options with mount type '{mount['Type']}'")
    if mount.get("ReadOnly") is False:
        del mount["ReadOnly"]
    _check_recursive(mount)
    return mount


def _check_recursive(mount: dict[str, Any]) -> None:
    options = mount.get("BindOptions") or {}
    for field, word in (("ReadOnlyNonRecursive", "writable"), ("ReadOnlyForceRecursive", "readonly")):
        if options.get(field) and not mount.get("ReadOnly"):
            raise ValueError(
                f"option 'bind-recursive={word}' requires 'readonly' to be specified in conjunction"
            )
    if options.get("ReadOnlyForceRecursive") and options.get("Propagation") != "rprivate":
        raise ValueError(
            "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in "
            "conjunction"
        )


def _part(mount: dict[str, Any], name: str) -> dict[str, Any]:
    part: dict[str, Any] = mount.setdefault(name, {})
    return part


def _mount_field(mount: dict[str, Any], key: str, value: str, field: str) -> None:
    if key == "type":
        mount["Type"] = value.lower()
    elif key in ("source", "src"):
        mount["Source"] = _absolute(value) if value.startswith("./") or value == "." else value
    elif key in ("target", "dst", "destination"):
        mount["Target"] = value
    elif key in ("readonly", "ro"):
        mount["ReadOnly"] = _flag(key, value)
    elif key == "consistency":
        mount["Consistency"] = value.lower()
    elif key == "bind-propagation":
        _part(mount, "BindOptions")["Propagation"] = value.lower()
    elif key == "bind-nonrecursive":
        _part(mount, "BindOptions")["NonRecursive"] = _flag(key, value)
    elif key == "bind-create-src":
        _part(mount, "BindOptions")["CreateMountpoint"] = _flag(key, value)
    elif key in ("uid", "gid", "idmap"):
        word = key if key == "idmap" and value in ("", "true") else f"{key}={value}"
        options = _part(mount, "BindOptions")
        options["IDMap"] = f"{options['IDMap']},{word}" if "IDMap" in options else word
    elif key == "bind-recursive":
        _recursive(_part(mount, "BindOptions"), value)
    elif key == "volume-nocopy":
        _part(mount, "VolumeOptions")["NoCopy"] = _flag(key, value)
    elif key == "volume-subpath":
        _part(mount, "VolumeOptions")["Subpath"] = value
    elif key == "volume-driver":
        _part(mount, "VolumeOptions").setdefault("DriverConfig", {})["Name"] = value
    elif key == "volume-opt":
        name, _, option = value.partition("=")
        _part(mount, "VolumeOptions").setdefault("DriverConfig", {}).setdefault("Options", {})[name] = option
    elif key == "volume-label":
        name, _, option = value.partition("=")
        _part(mount, "VolumeOptions").setdefault("Labels", {})[name] = option
    elif key == "image-subpath":
        mount.setdefault("ImageOptions", {})["Subpath"] = value
    elif key == "tmpfs-size":
        try:
            _part(mount, "TmpfsOptions")["SizeBytes"] = parse_size(value)
        except ValueError:
            raise ValueError(f"invalid value for {key}: {value}") from None
    elif key == "tmpfs-mode":
        if not value or value.strip("01234567"):
            raise ValueError(f"invalid value for {key}: {value}")
        _part(mount, "TmpfsOptions")["Mode"] = int(value, 8)
    else:
        raise ValueError(f"unexpected key '{key}' in '{field}'")


def _recursive(options: dict[str, Any], value: str) -> None:
    if value == "disabled":
        options["NonRecursive"] = True
    elif value == "writable":
        options["ReadOnlyNonRecursive"] = True
    elif value == "readonly":
        options["ReadOnlyForceRecursive"] = True
    elif value != "enabled":
        raise ValueError(
            f"invalid value for bind-recursive: {value} "
            '(must be "enabled", "disabled", "writable", or "readonly")'
        )


def _flag(key: str, value: str) -> bool:
    try:
        return boolean(value)
    except ValueError:
        raise ValueError(f"invalid value for {key}: {value}") from None


def parse_gpus(text: str) -> dict[str, Any]:
    """One ``--gpus``."""
    request: dict[str, Any] = {
        "Driver": "",
        "Count": 0,
        "DeviceIDs": None,
        "Capabilities": [["gpu"]],
        "Options": {},
    }
    for number, field in enumerate(csvline.split(text)):
        key, equals, value = field.partition("=")
        if not equals and number == 0:
            request["Count"] = _gpu_count(key)
        elif key == "count":
            request["Count"] = _gpu_count(value)
        elif key == "driver":
            request["Driver"] = value
        elif key == "device":
            request["DeviceIDs"] = value.split(",")
        elif key == "capabilities":
            request["Capabilities"] = [["gpu", *value.split(",")]]
        elif key == "options":
            request["Options"] = dict(option.partition("=")[::2] for option in value.split(","))
        else:
            raise ValueError(f"unexpected key '{key}' in '{field}'")
    if not request["Count"] and request["DeviceIDs"] is None:
        request["Count"] = 1
    return request


def _gpu_count(text: str) -> int:
    if text == "all":
        return -1
    try:
        return integer(text)
    except ValueError:
        raise ValueError(
            f'invalid count ({text}): value must be either "all" or an integer: invalid syntax'
        ) from None


def volume(text: str) -> tuple[str | None, str]:
    """One ``-v``: an anonymous volume's place (None, path), or a bind as the API takes it.

    A source that begins with a dot or a tilde is a path here; raises ValueError.
    """
    if not text:
        raise ValueError("invalid empty volume spec")
    parts = text.split(":")
    if len(parts) == 4 and len(parts[0]) == 1:
        # Docker takes it for a drive of Windows, and leaves it to the daemon to refuse it
        return parts[0], text
    if len(parts) > 3:
        raise ValueError(f"invalid spec: {text}: too many colons")
    if len(parts) == 1:
        return None, text
    source = parts[0]
    if not source or not parts[1]:
        raise ValueError(f"invalid spec: {text}: empty section between colons")
    if source.startswith("."):
        source = _absolute(source)
    elif source == "~" or source.startswith("~/"):
        source = (variable("HOME") or "") + source[1:]
    return source, ":".join([source, *parts[1:]])


def device(text: str) -> dict[str, str]:
    """One ``--device``: ``/dev/x[:/dev/y][:rwm]``; raises ValueError."""
    parts = text.split(":")
    inside, permissions = parts[0], "rwm"
    if len(parts) == 2:
        if _is_mode(parts[1]):
            permissions = parts[1]
        else:
            inside = parts[1]
    elif len(parts) == 3:
        inside, permissions = parts[1], parts[2]
        if not _is_mode(permissions):
            raise ValueError(f"bad mode specified: {permissions}")
    elif len(parts) > 3:
        raise ValueError(f"invalid device specification: {text}")
    if not inside:
        raise ValueError(f"bad format for path: {text}")
    return {"PathOnHost": parts[0], "PathInContainer": inside, "CgroupPermissions": permissions}


def _is_mode(text: str) -> bool:
    return bool(text) and not text.strip("rwm") and len(set(text)) == len(text)


def _absolute(path: str) -> str:
    import os  # only who gives a relative path pays for it

    return os.path.abspath(path)
