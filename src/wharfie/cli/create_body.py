"""Options of ``run`` and ``create`` as the body of ``POST /containers/create``.

Little more than what was given is sent: whatever is absent has the engine's default. Checks made here are
those that Docker's command line makes before it talks to a daemon, in its words; the rest is the engine's to
refuse.
"""

from __future__ import annotations

from wharfie.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# option -> field, copied as it is
_CONFIG = (
    ("hostname", "Hostname"),
    ("domainname", "Domainname"),
    ("user", "User"),
    ("workdir", "WorkingDir"),
    ("env", "Env"),
    ("stop-signal", "StopSignal"),
    ("stop-timeout", "StopTimeout"),
)
_HOST_CONFIG = (
    ("blkio-weight", "BlkioWeight"),
    ("blkio-weight-device", "BlkioWeightDevice"),
    ("cap-add", "CapAdd"),
    ("cap-drop", "CapDrop"),
    ("cgroup-parent", "CgroupParent"),
    ("cgroupns", "CgroupnsMode"),
    ("cidfile", "ContainerIDFile"),
    ("cpu-count", "CpuCount"),
    ("cpu-percent", "CpuPercent"),
    ("cpu-period", "CpuPeriod"),
    ("cpu-quota", "CpuQuota"),
    ("cpu-rt-period", "CpuRealtimePeriod"),
    ("cpu-rt-runtime", "CpuRealtimeRuntime"),
    ("cpu-shares", "CpuShares"),
    ("cpus", "NanoCpus"),
    ("cpuset-cpus", "CpusetCpus"),
    ("cpuset-mems", "CpusetMems"),
    ("device-cgroup-rule", "DeviceCgroupRules"),
    ("device-read-bps", "BlkioDeviceReadBps"),
    ("device-read-iops", "BlkioDeviceReadIOps"),
    ("device-write-bps", "BlkioDeviceWriteBps"),
    ("device-write-iops", "BlkioDeviceWriteIOps"),
    ("dns", "Dns"),
    ("dns-search", "DnsSearch"),
    ("add-host", "ExtraHosts"),
    ("group-add", "GroupAdd"),
    ("gpus", "DeviceRequests"),
    ("init", "Init"),
    ("io-maxbandwidth", "IOMaximumBandwidth"),
    ("io-maxiops", "IOMaximumIOps"),
    ("ipc", "IpcMode"),
    ("isolation", "Isolation"),
    ("kernel-memory", "KernelMemory"),
    ("link", "Links"),
    ("memory", "Memory"),
    ("memory-reservation", "MemoryReservation"),
    ("memory-swap", "MemorySwap"),
    ("mount", "Mounts"),
    ("oom-kill-disable", "OomKillDisable"),
    ("oom-score-adj", "OomScoreAdj"),
    ("network-rate", "NetworkRate"),
    ("egress", "Egress"),
    ("pid", "PidMode"),
    ("pids-limit", "PidsLimit"),
    ("privileged", "Privileged"),
    ("publish-all", "PublishAllPorts"),
    ("read-only", "ReadonlyRootfs"),
    ("rm", "AutoRemove"),
    ("runtime", "Runtime"),
    ("shm-size", "ShmSize"),
    ("ulimit", "Ulimits"),
    ("userns", "UsernsMode"),
    ("uts", "UTSMode"),
    ("volume-driver", "VolumeDriver"),
    ("volumes-from", "VolumesFrom"),
)
# the options that build() looks at in its slow half
_RARE = frozenset(
    [
        *(
            "volume",
            "tmpfs",
            "publish",
            "expose",
            "device",
            "env-file",
            "label",
            "label-file",
            "security-opt",
        ),
        *("log-driver", "log-opt", "storage-opt", "sysctl", "annotation", "dns-opt", "dns-option", "uts"),
        *(
            "health-cmd",
            "health-interval",
            "health-on-failure",
            "health-retries",
            "health-start-interval",
            "health-start-period",
        ),
        *("health-timeout", "no-healthcheck", "memory-swappiness", "pid", "userns", "cgroupns"),
        *("network-alias", "net-alias", "ip", "ip6", "link-local-ip", "mac-address", "platform"),
    ]
)


def build(options: dict[str, Any], words: list[str]) -> dict[str, Any]:
    """The body; raises InvalidArgument with Docker's sentence."""
    body: dict[str, Any] = {"Image": words[0]}
    # an inspection shows whether there was a map: docker's command line sends one always
    host: dict[str, Any] = {"PortBindings": {}}
    if len(words) > 1:
        body["Cmd"] = words[1:]
    for name, field in _CONFIG:
        if name in options:
            body[field] = options[name]
    for name, field in _HOST_CONFIG:
        if name in options:
            host[field] = options[name]
    if "entrypoint" in options:
        body["Entrypoint"] = [options["entrypoint"]]
    _streams(options, body)
    network = options.get("network") or options.get("net")
    if network is not None and (len(network) > 1 or "=" in network[0] or not network[0]):
        options["networks"] = network
    elif network is not None:
        host["NetworkMode"] = network[0]
    if "networks" in options or not _RARE.isdisjoint(options):
        from wharfie.cli import create_parts

        create_parts.add(options, body, host)
    if "restart" in options:
        host["RestartPolicy"] = restart_policy(options["restart"])
        if options.get("rm") and host["RestartPolicy"]["Name"] not in ("", "no"):
            raise InvalidArgument("conflicting options: cannot specify both --restart and --rm")
    body["HostConfig"] = host
    return body


def _streams(options: dict[str, Any], body: dict[str, Any]) -> None:
    interactive = options.get("interactive", False)
    wanted = options.get("attach")
    if wanted is None:
        wanted = [] if options.get("detach") else ["stdout", "stderr", *(["stdin"] if interactive else [])]
    body["AttachStdin"] = "stdin" in wanted
    body["AttachStdout"] = "stdout" in wanted
    body["AttachStderr"] = "stderr" in wanted
    if options.get("tty"):
        body["Tty"] = True
    if interactive:
        body["OpenStdin"] = True
        body["StdinOnce"] = "stdin" in wanted


def restart_policy(text: str) -> dict[str, Any]:
    """``on-failure:3`` as the API's object; raises InvalidArgument."""
    name, colon, count = text.partition(":")
    if colon and not name:
        raise InvalidArgument("invalid restart policy format: no policy provided before colon")
    digits = count[1:] if count[:1] in ("-", "+") else count
    if colon and not (digits.isascii() and digits.isdigit()):
        raise InvalidArgument("invalid restart policy format: maximum retry count must be an integer")
    return {"Name": name, "MaximumRetryCount": int(count or "0")}
