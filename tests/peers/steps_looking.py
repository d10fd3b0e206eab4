"""Lists, inspections, events, logs and what an engine tells of itself."""

# ruff: noqa: E501

from __future__ import annotations

from tests.peers.step import code, exact, shell, sizes, table

LISTED = (
    exact("run -d --name one --label a=b --label c --hostname h1 -v listed:/v busybox sleep 1000"),
    exact("run --name two --label a=x busybox sh -c", "exit 3"),
    exact("create --name three --network none --expose 80 --expose 53/udp busybox echo", "it's a long command with many words in it", "x"),
    exact("run -d --name four --network none busybox sleep 1000"),
    exact("pause four"),
    table("ps"),
    table("ps -a"),
    table("ps -a --no-trunc"),
    table("ps -n 2"),
    table("ps -l"),
    exact("ps -q"),
    exact("ps -aq --no-trunc"),
    exact("ps -a --format", "{{.Names}}|{{.Image}}|{{.Command}}|{{.Ports}}|{{.State}}|{{.Labels}}|{{.Mounts}}|{{.Networks}}|{{.LocalVolumes}}"),
    exact("ps -a --format", "{{.ID}} {{.CreatedAt}} {{.RunningFor}} {{.Status}}"),
    exact("ps -a --format", "table {{.Names}}\\t{{.Label \"a\"}}\\t{{.State}}"),
    exact("ps --filter name=one --format", "{{json .Names}} {{json .Labels}} {{upper .State}} {{len .Names}}"),
    exact("ps -a --filter name=three --format json"),
    exact("ps -as --format", "{{.Names}} {{.Size}}"),
    exact("ps -a --filter status=exited --format {{.Names}}"),
    exact("ps --filter status=paused --format {{.Names}}"),
    exact("ps -a --filter status=nosuch"),
    exact("ps -a --filter exited=3 --format {{.Names}}"),
    exact("ps -a --filter exited=x"),
    exact("ps -a --filter label=a --format {{.Names}}"),
    exact("ps -a --filter label=a=b --format {{.Names}}"),
    exact("ps -a --filter label=a --filter label=c --format {{.Names}}"),
    exact("ps -a --filter ancestor=busybox --filter status=created --format {{.Names}}"),
    exact("ps -a --filter ancestor=nosuch --format {{.Names}}"),
    exact("ps -a --filter volume=listed --format {{.Names}}"),
    exact("ps -a --filter volume=/v --format {{.Names}}"),
    exact("ps -a --filter network=none --format {{.Names}}"),
    exact("ps -a --filter network=bridge --format {{.Names}}"),
    exact("ps -a --filter before=three --format {{.Names}}"),
    exact("ps -a --filter since=one --format {{.Names}}"),
    exact("ps -a --filter since=nosuch"),
    exact("ps -a --filter name=^t --format {{.Names}}"),
    exact("ps -a --filter name=o --filter status=running --format {{.Names}}"),
    exact("ps -a --filter is-task=true"),
    exact("ps --filter nonsense"),
    code("ps --format {{.Nosuch}}"),
    exact("ps --format {{.Names"),
    exact("ps --nosuch"),
    exact("ps extra"),
    exact("images --format", "{{.Repository}}:{{.Tag}} {{.Size}} {{.Digest}}"),
    table("images"),
    table("images --digests"),
    table("images busybox"),
    table("images nosuch"),
    exact("images -q --no-trunc"),
    exact("images --filter reference=busy* --format {{.Repository}}"),
    exact("images --filter reference=nosuch --format {{.Repository}}"),
    exact("images --filter dangling=true"),
    exact("images --filter dangling=maybe"),
    exact("images --filter label=x -q"),
    exact("images --filter before=nosuch -q"),
    exact("history --format", "{{.CreatedBy}}|{{.Comment}}|{{.Size}}|{{.ID}}", "busybox"),
    table("history busybox"),
    exact("history -q busybox"),
    exact("history --human=false --format {{.Size}} busybox"),
    exact("rm -f one two three four"),
    exact("volume rm listed"),
)  # fmt: skip

_CONFIG = (
    "AttachStdin", "AttachStderr", "AttachStdout", "Cmd", "Domainname", "Entrypoint", "Env", "ExposedPorts", "Hostname", "Image",
    "Labels", "OnBuild", "OpenStdin", "StdinOnce", "Tty", "User", "Volumes", "WorkingDir",
)  # fmt: skip
_HOST_CONFIG = (
    "AutoRemove", "BlkioWeight", "CapAdd", "CapDrop", "Cgroup", "CgroupParent",
    "CgroupnsMode", "ConsoleSize", "ContainerIDFile", "CpuCount", "CpuPercent", "CpuPeriod", "CpuQuota", "CpuRealtimePeriod",
    "CpuShares", "CpusetCpus", "CpusetMems", "DeviceCgroupRules", "DeviceRequests",
    "ExtraHosts", "GroupAdd", "IOMaximumBandwidth", "IOMaximumIOps", "IpcMode", "Isolation", "Links",
    "Memory", "MemoryReservation", "MemorySwap", "MemorySwappiness", "NanoCpus", "NetworkMode", "OomKillDisable", "OomScoreAdj",
    "PidMode", "PidsLimit", "PortBindings", "Privileged", "PublishAllPorts", "ReadonlyPaths", "ReadonlyRootfs",
    "SecurityOpt", "ShmSize", "UTSMode", "UsernsMode", "VolumeDriver", "VolumesFrom",
)  # fmt: skip


def _fields(of: str, names: tuple[str, ...]) -> str:
    return "\n".join(f"{name}: {{{{json .{of}.{name}}}}}" for name in names)


INSPECTED = (
    exact("run -d --name i1 --label a=b -e X=1 -v inspected:/v -v /usr:/h:ro --mount type=tmpfs,target=/t --tmpfs /tt:size=1m "
          "--expose 80 busybox sleep 1000"),
    exact("create --name i2 -ti --network none --privileged --cap-add SYS_TIME --cap-drop CHOWN --dns 1.1.1.1 --add-host a:1.2.3.4 "
          "--group-add 5 --init --ipc host --pid host --uts host -m 64m --cpus 0.5 --cpu-shares 3 --cpuset-cpus 0 --pids-limit 5 "
          "--read-only --restart on-failure:3 --security-opt no-new-privileges --shm-size 1m --stop-signal 3 --stop-timeout 4 "
          "--sysctl net.ipv4.ip_forward=0 --ulimit nofile=10:20 --user 1:2 --workdir /w --device /dev/null --entrypoint e "
          "--log-opt max-size=1m --oom-score-adj 5 --rm=false --device-read-bps /dev/null:1mb --annotation x=y busybox a b"),
    *(
        exact("inspect --format", template, name)
        for name in ("i1", "i2")
        for template in (
            _fields("Config", _CONFIG),
            _fields("HostConfig", _HOST_CONFIG),
            "{{.Name}} {{.Path}} {{json .Args}} {{.Id}} {{.Image}} {{.Created}} {{.Driver}} {{.Platform}} {{.RestartCount}} "
            "{{json .AppArmorProfile}} {{json .ExecIDs}} {{json .MountLabel}} {{json .ProcessLabel}}",
            "{{range $k, $v := .State}}{{if ne $k \"Pid\"}}{{$k}}={{json $v}} {{end}}{{end}}",

            "{{range $k, $v := .NetworkSettings}}{{$k}} {{end}}",
                        "{{.NetworkSettings.IPAddress}} {{.NetworkSettings.MacAddress}} {{json .NetworkSettings.Ports}} ",
            "{{range $k, $v := .}}{{$k}} {{end}}",
        )
    ),
    shell("docker inspect --format '{{range .Mounts}}{{println .Type .Name .Destination .Mode .RW .Propagation .Driver}}{{end}}' i1 | sort"),
    code("inspect --format {{.Nosuch}} i1"),
    code("inspect --format {{.State.Nosuch}} i1"),
    exact("inspect --format", "{{index .Config.Labels \"a\"}} {{index .Config.Env 0}} {{len .Config.Env}} {{printf \"%s-%d\" .Name 3}}", "i1"),
    exact("inspect --format", "{{join .Config.Cmd \" + \"}} {{title \"ab cd\"}} {{split \"a,b\" \",\"}} {{pad \"x\" 2 2}}|{{truncate \"abcdef\" 3}}", "i1"),
    exact("inspect --format", "{{if .State.Running}}up{{else}}down{{end}} {{if and .State.Running (eq .Config.Tty false)}}yes{{end}} {{not true}} {{or \"\" \"b\"}}", "i1"),
    exact("inspect --format", "{{with .Config}}{{.Hostname | len}}{{end}} {{- /* nothing */ -}} x {{\"q\" | printf \"%q\"}} {{$x := 3}}{{$x}} {{lt 1 2}} {{println 1 2}}", "i1"),
    exact("inspect --format {{.Config.Cmd}} i1"),
    exact("inspect --format", "{{len .HostConfig.Binds}}", "i1"),
    exact("inspect --format {{.Config.Labels}} i1"),
    exact("inspect --format {{json .Config.Labels}} nosuch"),
    exact("inspect --format {{.Id}} i1 nosuch"),
    exact("inspect --type container --format {{.Name}} busybox"),
    exact("inspect --type image --format {{.RepoTags}} i1"),
    exact("inspect --type nosuch i1"),
    exact("inspect --format", "{{json .Config.Cmd}} {{.Architecture}} {{.Os}} {{json .RootFS.Type}} {{len .RootFS.Layers}} {{json .Comment}} "
          "{{json .Config.Env}} {{json .RepoTags}} {{.Size}}", "busybox"),
    exact("image inspect --format {{json .RepoDigests}} busybox"),
    exact("volume inspect --format", "{{.Driver}} {{.Name}} {{.Scope}} {{json .Options}} {{json .Labels}}", "inspected"),
    exact("inspect --format {{.Scope}} inspected"),
    exact("network ls --format", "{{.Name}} {{.Driver}} {{.Scope}}"),
    exact("network inspect bridge --format", "{{.Name}} {{.Driver}} {{.Scope}} {{.Internal}} {{.EnableIPv6}} {{.IPAM.Driver}}"),
    exact("network inspect nosuch"),
    shell("docker inspect -s --format '{{.SizeRw}}' i1"),
    exact("rm -f -v i1 i2"),
    exact("volume rm inspected"),
)  # fmt: skip

TOLD = (
    exact("version --format", "{{.Server.Os}} {{.Server.Arch}} {{.Server.MinAPIVersion}} {{.Server.Experimental}} {{.Server.KernelVersion}}"),
    exact("info --format", "{{.OSType}} {{.Architecture}} {{.MemTotal}} {{.KernelVersion}} {{.OperatingSystem}}"),
    exact("info --format", "{{.CgroupDriver}} {{.CgroupVersion}} {{.Driver}} {{.LoggingDriver}}"),
    shell('[ "$(docker info --format "{{.Name}} {{.NCPU}}")" = "$(hostname) $(nproc)" ] && echo this machine'),
    exact("info --format", "{{.Containers}} {{.ContainersRunning}} {{.ContainersPaused}} {{.ContainersStopped}} {{.Images}}"),
    exact("info --format", "{{.MemoryLimit}} {{.SwapLimit}} {{.CPUShares}} {{.CPUSet}} {{.PidsLimit}} {{.OomKillDisable}} {{.IPv4Forwarding}}"),
    exact("info --format", "{{json .Swarm.LocalNodeState}} {{json .SecurityOptions}} {{json .Plugins.Volume}}"),
    code("info --format {{.Nosuch}}"),
    exact("create --name t1 busybox"),
    sizes("system df"),
    sizes("system df --format", "{{.Type}}|{{.TotalCount}}|{{.Active}}|{{.Size}}|{{.Reclaimable}}"),
    exact("rm t1"),
    shell("since=$(date +%s.%N); docker run --name e1 --label x=y busybox true >/dev/null; docker rename e1 e2; docker start e2; docker wait e2; "
          "docker rm e2; docker events --since $since --until $(date +%s.%N) --format '{{.Type}} {{.Action}} {{.Actor.Attributes.name}} {{.Scope}}'"),
    shell("since=$(date +%s.%N); docker run -d --name e3 busybox sleep 1000; docker pause e3; docker unpause e3; docker exec e3 true; docker update -m 64m --memory-swap 64m e3; "
          "docker kill e3; docker wait e3; docker restart -t 0 e3; docker stop -t 0 e3; docker commit e3 evented; docker tag evented evented:2; docker rmi evented evented:2; docker rm e3; "
          "docker events --since $since --until $(date +%s.%N) --filter type=container --format '{{.Action}}' | sort; "
          "docker events --since $since --until $(date +%s.%N) --filter type=image --format '{{.Action}} {{.Actor.Attributes.name}}'"),
    shell("since=$(date +%s.%N); docker run -d --name e4 -v ev:/v busybox sh -c 'exit 7'; docker wait e4; docker rm e4; docker volume rm ev; "
          "docker events --since $since --until $(date +%s.%N) --filter container=e4 --filter event=die --format '{{json .Actor.Attributes.exitCode}}'; "
          "docker events --since $since --until $(date +%s.%N) --filter type=volume --format '{{.Type}} {{.Action}} {{.Actor.ID}} {{.Actor.Attributes.driver}}'; "
          "docker events --since $since --until $(date +%s.%N) --filter type=network --format '{{.Action}} {{.Actor.Attributes.name}} {{.Actor.Attributes.type}}'"),
    shell("since=$(date +%s.%N); docker run --name e5 --rm busybox true; docker events --since $since --until $(date +%s.%N) --filter type=container"
          " | sed 's/(.*//; s/^[^ ]* //'"),
    code("system events --since nosuch --until 1"),
    code("container ls --nosuch"),
    exact("nosuch"),
    code("container nosuch"),
    shell("docker --help | head -3", "code"),
    shell("docker run --help | head -8", "code"),
    shell("docker ps --help", "code"),
    shell("docker exec --help", "code"),
    shell("docker container rm --help", "code"),
    shell("docker logs --help", "code"),
)  # fmt: skip

LOGGED = (
    exact("run --name l1 busybox sh -c", "for i in 1 2 3 4 5; do echo line $i; done; sleep 0.5; echo error >&2; sleep 0.5; printf 'no newline'"),
    exact("logs l1"),
    exact("logs --tail 2 l1"),
    exact("logs -n 0 l1"),
    exact("logs -n all l1"),
    exact("logs -n -1 l1"),
    exact("logs --tail nosuch l1"),
    exact("logs -t l1"),
    exact("logs -t --tail 1 l1"),
    exact("logs --details l1"),
    exact("logs --since 1h --tail 1 l1"),
    exact("logs --since 2000-01-01 -n 1 l1"),
    exact("logs --until 2000-01-01 l1"),
    exact("logs --until 1h l1"),
    exact("logs --since nosuch l1"),
    exact("logs -f l1"),
    exact("logs l1 l1"),
    exact("logs"),
    exact("rm l1"),
    exact("run --name l2 -t busybox sh -c", "echo a; echo b >&2"),
    exact("logs l2"),
    exact("logs -t l2"),
    exact("rm l2"),
    exact("run --name l3 busybox sh -c", "printf '\\\\xff\\\\0\\\\t\\\\033[1mé\\\\n'; head -c 40000 /dev/zero | tr '\\\\0' x; echo; echo end"),
    shell("docker logs l3 | wc -c; docker logs l3 | tail -n 1; docker logs -n 1 l3; docker logs -n 2 l3 | wc -c; docker logs -t l3 | wc -l"),
    exact("rm l3"),
    exact("run --name l4 --label lab=el --log-opt labels=lab --log-opt env=E -e E=v --log-opt tag={{.Name}} busybox echo x"),
    exact("logs --details l4"),
    exact("rm l4"),
    exact("run -d --name l5 busybox sh -c", "for i in 1 2 3; do echo $i; sleep 0.3; done"),
    exact("logs -f l5"),
    exact("rm l5"),
    shell("docker run -d --name l6 busybox sh -c 'echo first; sleep 1000'; timeout 2 $DOCKER logs -f l6; echo $?; docker logs --until 0s l6; docker rm -f l6"),
)  # fmt: skip
