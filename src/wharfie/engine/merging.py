"""What an image says and what the request says, made one configuration by Docker's rules.

The request wins; environment, labels, ports and volumes are joined. A command without an entry point takes
the image's entry point with it; an entry point drops the image's command.
"""

from __future__ import annotations

import msgspec

from wharfie.engine.container import Container
from wharfie.engine.context import EngineDefaults
from wharfie.engine.oci.host import Host
from wharfie.errors import InvalidArgument
from wharfie.images.config import RunConfig
from wharfie.spec.mounts import READONLY_PATHS, masked_paths
from wharfie.wire.config import Config, HealthConfig, HostConfig, LogConfig, NameSet, RestartPolicy

__all__ = ["command", "config", "host_config"]


class NoCommand(InvalidArgument):
    """Neither image nor request say what to run."""

    def __init__(self) -> None:
        super().__init__("no command specified")


def config(asked: Config, image: RunConfig, hostname: str) -> Config:
    """The container's configuration; ``hostname`` is its default one."""
    entrypoint, cmd = asked.entrypoint, asked.cmd
    if not entrypoint:
        if not cmd:
            cmd = image.cmd
        if entrypoint is None:
            entrypoint = image.entrypoint
    if entrypoint == [""]:
        entrypoint = None
    return msgspec.structs.replace(
        asked,
        hostname=asked.hostname or hostname,
        user=asked.user or image.user,
        exposed_ports=_joined(image.exposed_ports, asked.exposed_ports),
        env=_environment(asked.env or [], image.env or []),
        cmd=cmd,
        entrypoint=entrypoint,
        healthcheck=_health(asked, image),
        volumes=_joined(image.volumes, asked.volumes),
        working_dir=asked.working_dir or image.working_dir,
        labels={**(image.labels or {}), **(asked.labels or {})},
        stop_signal=asked.stop_signal or image.stop_signal,
        stop_timeout=asked.stop_timeout if asked.stop_timeout is not None else image.stop_timeout,
        shell=asked.shell or image.shell,
        on_build=asked.on_build,
    )


def _joined(image: NameSet | None, asked: NameSet | None) -> NameSet | None:
    if not image and not asked:
        return None
    return {name: {} for name in (*(image or ()), *(asked or ()))}


def _environment(asked: list[str], image: list[str]) -> list[str]:
    known = {entry.partition("=")[0] for entry in asked}
    return asked + [entry for entry in image if entry.partition("=")[0] not in known]


def _health(asked: Config, image: RunConfig) -> HealthConfig | None:
    """Field by field; what is to be done on a failure is the request's alone to say."""
    own = asked.healthcheck
    if image.healthcheck is None:
        return own
    given = msgspec.convert(image.healthcheck, HealthConfig, from_attributes=True)
    if own is None:
        return given
    return HealthConfig(
        test=own.test or given.test,
        interval=own.interval or given.interval,
        timeout=own.timeout or given.timeout,
        start_period=own.start_period or given.start_period,
        start_interval=own.start_interval or given.start_interval,
        retries=own.retries or given.retries,
        on_failure=own.on_failure,
    )


def command(merged: Config) -> tuple[str, list[str]]:
    """Program and arguments; raises NoCommand."""
    words = [*(merged.entrypoint or []), *(merged.cmd or [])]
    if not words:
        raise NoCommand()
    return words[0], words[1:]


def host_config(asked: HostConfig, defaults: EngineDefaults, host: Host) -> HostConfig:
    """The host-bound configuration with Docker's defaults filled in, as inspection shows it."""
    changes: dict[str, object] = {}
    if asked.memory > 0 and asked.memory_swap == 0:
        changes["memory_swap"] = 2 * asked.memory
    if asked.cpu_shares:
        changes["cpu_shares"] = min(max(asked.cpu_shares, 2), 262_144)
    changes["shm_size"] = asked.shm_size or defaults.shm_size
    changes["ipc_mode"] = asked.ipc_mode or defaults.ipc_mode
    private = "private" if host.unified else "host"
    if asked.privileged and not host.unified:
        private = "host"
    changes["cgroupns_mode"] = asked.cgroupns_mode or defaults.cgroupns_mode or private
    if asked.network_mode in ("", "default"):
        changes["network_mode"] = "bridge"
    if not asked.restart_policy.name:
        changes["restart_policy"] = RestartPolicy(name="no")
    if not asked.log_config.type:
        options = {**defaults.log_opts, **(asked.log_config.config or {})}
        changes["log_config"] = LogConfig(type=defaults.log_driver, config=options)
    elif asked.log_config.config is None:
        changes["log_config"] = LogConfig(type=asked.log_config.type, config={})
    if asked.privileged:
        changes["masked_paths"] = changes["readonly_paths"] = None
    else:
        if asked.masked_paths is None:
            changes["masked_paths"] = masked_paths(range(host.cpus))
        if asked.readonly_paths is None:
            changes["readonly_paths"] = list(READONLY_PATHS)
    for field in ("cap_add", "cap_drop"):
        if names := getattr(asked, field):
            changes[field] = [_capability(name) for name in names]
    if asked.memory_swappiness == -1:
        changes["memory_swappiness"] = None
    if asked.pids_limit is not None and asked.pids_limit <= 0:
        changes["pids_limit"] = None
    if asked.oom_kill_disable is None and host.oom_kill_disable:
        changes["oom_kill_disable"] = False
    if not asked.runtime:
        changes["runtime"] = "wharfie-runtime"
    return msgspec.structs.replace(asked, **changes)


def _capability(name: str) -> str:
    """As inspection shows it: ``CAP_SYS_TIME``, or ``ALL``."""
    upper = name.upper()
    return upper if upper == "ALL" or upper.startswith("CAP_") else f"CAP_{upper}"


def taken_bases(containers: list[Container]) -> set[int]:
    """First ids of the user namespaces that containers have."""
    return {container.record.userns_base for container in containers}
