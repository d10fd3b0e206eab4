"""What the bodies of older clients' requests mean: fields they could not know are not there, and what had
another default gets that one.
"""

from __future__ import annotations

from typing import TypeVar

from msgspec.structs import replace

from wharfie.api.call import Call
from wharfie.api.versions import ignored
from wharfie.errors import InvalidArgument
from wharfie.wire.config import BindOptions, HostConfig, Mount
from wharfie.wire.containers import CreateContainer, UpdateContainer
from wharfie.wire.execs import ExecCreate, ExecStart
from wharfie.wire.networks import NetworkCreate

E = TypeVar("E", ExecCreate, ExecStart)


def create(call: Call, body: CreateContainer) -> CreateContainer:
    """A create as this version of the API means it.

    Raises:
        InvalidArgument: it asks for what only a newer version has.
    """
    host = _host_config(call, body.host_config)
    if not call.at_least(1, 44):
        networks = (body.networking_config and body.networking_config.endpoints_config) or {}
        if len(networks) > 1:
            raise InvalidArgument(
                f"Container cannot be connected to network endpoints: {', '.join(sorted(networks))}"
            )
        if body.healthcheck is not None and body.healthcheck.start_interval:
            body = replace(body, healthcheck=ignored(body.healthcheck, "start_interval"))
    return body if host is body.host_config else replace(body, host_config=host)


def _host_config(call: Call, host: HostConfig) -> HostConfig:
    if call.at_least(1, 42):
        host = ignored(host, "kernel_memory") if host.kernel_memory else host
    else:
        host = ignored(host, "console_size")
    if not call.at_least(1, 43):
        host = ignored(host, "annotations")
    if not call.at_least(1, 41):
        host = replace(host, cgroupns_mode=host.cgroupns_mode or "host")
    if not call.at_least(1, 40):
        host = ignored(host, "kernel_memory_tcp")
        host = replace(host, ipc_mode=host.ipc_mode or "shareable")
    if host.mounts and not call.at_least(1, 48):
        host = replace(host, mounts=[_mount(call, one) for one in host.mounts])
    return host


def _mount(call: Call, mount: Mount) -> Mount:
    if mount.type == "image":
        raise InvalidArgument("Mount type image needs API v1.48 or newer")
    if mount.volume_options is not None and mount.volume_options.subpath and not call.at_least(1, 45):
        raise InvalidArgument("VolumeOptions.Subpath needs API v1.45 or newer")
    options = mount.bind_options
    if not call.at_least(1, 44):
        if options is not None and options.read_only_non_recursive:
            raise InvalidArgument("BindOptions.ReadOnlyNonRecursive needs API v1.44 or newer")
        if options is not None and options.read_only_force_recursive:
            raise InvalidArgument("BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer")
        if mount.type == "bind" and mount.read_only:
            # what was mounted below a read-only bind stayed writable
            options = replace(options or BindOptions(), read_only_non_recursive=True)
    if options is not None and not call.at_least(1, 42):
        options = ignored(options, "create_mountpoint")
    if options is not None and not call.at_least(1, 40):
        options = ignored(options, "non_recursive")
    return mount if options is mount.bind_options else replace(mount, bind_options=options)


def update(call: Call, body: UpdateContainer) -> UpdateContainer:
    """An update as this version of the API means it."""
    if call.at_least(1, 42):
        return ignored(body, "kernel_memory") if body.kernel_memory else body
    return body if call.at_least(1, 40) else ignored(body, "pids_limit")


def execution(call: Call, body: E) -> E:
    """An exec as this version of the API means it."""
    return body if call.at_least(1, 42) else ignored(body, "console_size")


def network(call: Call, body: NetworkCreate) -> NetworkCreate:
    """A new network as this version of the API means it: IPv4 could not be switched off."""
    return body if call.at_least(1, 48) else ignored(body, "enable_ipv4")
