"""What is asked of every engine, in this order, and how an answer is made comparable.

A step is a docker command line. ``exact`` steps compare exit code, standard output and standard error after
:func:`normalise`; ``code`` steps compare the exit code only, where the words name the engine's own parts.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Step(NamedTuple):
    """One command and how strictly its answer is compared."""

    argv: tuple[str, ...]
    compare: str = "exact"
    stdin: str = ""


def exact(line: str, *more: str, stdin: str = "") -> Step:
    """A step whose words are split at blanks; ``more`` are words with blanks in them."""
    return Step((*line.split(), *more), "exact", stdin)


def code(line: str, *more: str) -> Step:
    """A step of which only the exit code counts."""
    return Step((*line.split(), *more), "code")


LIFE = (
    exact("create --name life busybox sh -c", "echo out; echo err >&2; exit 3"),
    exact(
        "inspect --format {{.State.Status}},{{.State.Running}},{{.State.ExitCode}},{{.Path}},{{json",
        ".Args}}",
        "life",
    ),
    exact("start life"),
    exact("wait life"),
    exact("logs life"),
    exact("start -a life"),
    exact("ps -a --filter name=life --format", "{{.Names}} {{.Image}} {{.Command}} {{.Ports}}"),
    exact("ps -a --no-trunc --filter name=life --format", "{{.Command}}"),
    exact("rename life living"),
    exact("inspect --format {{.Name}} living"),
    exact("rename living living"),
    exact("kill living"),
    exact("stop living"),
    exact("pause living"),
    exact("unpause living"),
    exact("top living"),
    exact("exec living true"),
    exact("diff living"),
    exact("rm living"),
    exact("rm living"),
)

RUNNING = (
    exact(
        "run -d --name run1 --hostname box -e A=1 -e B busybox sh -c",
        "touch /new; mkdir /dir; trap 'exit 9' TERM; while :; do sleep 0.05; done",
    ),
    exact("exec run1 sh -c", "echo $A; hostname; exit 5"),
    exact("exec -e X=y -w /tmp run1 sh -c", "echo $X; pwd"),
    exact("exec -u nobody run1 id"),
    exact("exec -u 12:34 run1 id"),
    code("exec -u nosuchuser run1 id"),
    code("exec run1 nosuchcommand"),
    code("exec run1 /etc/passwd"),
    exact("exec -i run1 cat", stdin="typed\n"),
    exact("exec -d run1 true"),
    exact("diff run1"),
    exact("rm run1"),
    exact("start run1"),
    exact("pause run1"),
    exact("pause run1"),
    exact("exec run1 true"),
    exact("inspect --format {{.State.Status}},{{.State.Paused}} run1"),
    exact("unpause run1"),
    exact("unpause run1"),
    exact("update --memory 64m --memory-swap 128m --cpu-shares 512 run1"),
    exact(
        "inspect --format {{.HostConfig.Memory}},{{.HostConfig.MemorySwap}},{{.HostConfig.CpuShares}} run1"
    ),
    exact("update --restart nosuchpolicy run1"),
    exact("kill -s NOSUCH run1"),
    exact("stop -t 5 run1"),
    exact("inspect --format {{.State.ExitCode}},{{.State.OOMKilled}},{{.State.Pid}} run1"),
    exact("restart -t 0 run1"),
    exact("kill run1"),
    exact("wait run1"),
    exact("rm -f run1"),
    exact("rm -f run1"),
)

REFUSED = (
    exact("run --name bad! busybox true"),
    exact("run --nosuchflag busybox"),
    exact("run -m 1k busybox true"),
    exact("run -m notasize busybox true"),
    exact("run -m 64m --memory-swap 32m busybox true"),
    exact("run --memory-reservation 128m -m 64m busybox true"),
    exact("run --cpus 1000 busybox true"),
    exact("run --cpus x busybox true"),
    exact("run --cpus 1 --cpu-quota 1000 busybox true"),
    exact("run --cpu-period 1 busybox true"),
    exact("run --cpu-quota 10 busybox true"),
    exact("run --cpuset-cpus 99 busybox true"),
    exact("run --cpuset-cpus x busybox true"),
    exact("run --blkio-weight 5 busybox true"),
    exact("run --device-read-bps /dev/nosuch:1mb busybox true"),
    exact("run --device-read-bps nonsense busybox true"),
    exact("run --shm-size x busybox true"),
    exact("run --restart sometimes busybox true"),
    exact("run --restart on-failure:x busybox true"),
    exact("run --rm --restart always busybox true"),
    exact("run --cap-add NOSUCH busybox true"),
    exact("run --security-opt nosuch=1 busybox true"),
    exact("run --security-opt nosuch busybox true"),
    exact("run --security-opt seccomp=/nosuch busybox true"),
    exact("run --sysctl nonsense busybox true"),
    exact("run --ulimit nofile=2:1 busybox true"),
    exact("run --ulimit nosuch=1 busybox true"),
    exact("run --network nosuchnet busybox true"),
    exact("run --network container:nosuch busybox true"),
    exact("run --pid container:nosuch busybox true"),
    exact("run --pid nonsense busybox true"),
    exact("run --ipc nonsense busybox true"),
    exact("run --uts nonsense busybox true"),
    exact("run --userns nonsense busybox true"),
    exact("run -v relative/path:/x:ro:z:q busybox true"),
    exact("run -v /tmp:relative busybox true"),
    exact("run -v /tmp:/x:badmode busybox true"),
    exact("run -v /tmp:/ busybox true"),
    exact("run -v /tmp:/x -v /tmp:/x busybox true"),
    exact("run --mount type=nosuch,target=/x busybox true"),
    exact("run --mount type=bind,source=/nosuch/dir,target=/x busybox true"),
    exact("run --mount target=x busybox true"),
    exact(
        "run --tmpfs /x:nosuchoption busybox true",
    ),
    exact("run --tmpfs relative busybox true"),
    exact("run --device /dev/nosuch busybox true"),
    exact("run --device /dev/null:/dev/x:q busybox true"),
    exact("run --stop-signal NOSUCH busybox true"),
    exact("run --env-file /nosuch busybox true"),
    exact("run --label-file /nosuch busybox true"),
    exact("run --hostname", "bad host!", "busybox", "true"),
    exact("run --log-driver nosuch busybox true"),
    exact("run --log-opt nosuch=1 busybox true"),
    exact("run --log-opt max-size=x busybox true"),
    exact("run --pull sometimes busybox true"),
    exact("run -a nosuch busybox true"),
    exact("run -d -a stdin busybox true"),
    exact("run --group-add nosuchgroup busybox true"),
    exact("run --oom-score-adj 5000 busybox true"),
    exact("run -w relative busybox pwd"),
    exact("run"),
    code("run busybox nosuchcommand"),
    code("run busybox /nosuch/command"),
    code("run busybox /etc/passwd"),
    code("run busybox /etc"),
    code("run -u nosuchuser busybox true"),
    code("run -u 0:nosuchgroup busybox true"),
    code("run -u 4294967296 busybox true"),
    code("run -w /etc/passwd busybox true"),
    code("run -v /etc/passwd:/etc busybox true"),
    code("run --sysctl kernel.nosuch=1 busybox true"),
    code("run --pids-limit nosuch busybox true"),
    exact("start nosuch"),
    exact("stop nosuch"),
    exact("kill nosuch"),
    exact("pause nosuch"),
    exact("unpause nosuch"),
    exact("restart nosuch"),
    exact("logs nosuch"),
    exact("exec nosuch true"),
    exact("attach nosuch"),
    exact("wait nosuch"),
    exact("top nosuch"),
    exact("diff nosuch"),
    exact("commit nosuch"),
    exact("cp nosuch:/x -"),
    exact("update -m 64m nosuch"),
    exact("rename nosuch other"),
    exact("inspect nosuch"),
    exact("stats --no-stream nosuch"),
    exact("tag nosuch other"),
    exact("rmi nosuch"),
    exact("history nosuch"),
    exact("tag busybox Bad:Name"),
    exact("ps --filter nosuch=1"),
    exact("images --filter nosuch=1"),
)

INSIDE = (
    exact("run --rm busybox sh -c", "echo $$; ps -o pid,args | head -2"),
    exact("run --rm busybox id"),
    exact("run --rm -u nobody busybox id"),
    exact("run --rm busybox grep -E", "^Cap|^Seccomp:|^NoNewPrivs", "/proc/self/status"),
    exact("run --rm --cap-drop ALL busybox grep -E", "^Cap(Eff|Bnd|Prm)", "/proc/self/status"),
    exact("run --rm --cap-drop ALL --cap-add NET_ADMIN busybox grep -E", "^Cap(Eff|Bnd|Prm)", "/proc/self/status"),  # noqa: E501
    exact("run --rm -u nobody busybox grep -E", "^Cap(Eff|Bnd|Prm)", "/proc/self/status"),
    exact("run --rm --security-opt no-new-privileges busybox grep NoNewPrivs /proc/self/status"),
    exact("run --rm --security-opt seccomp=unconfined busybox grep Seccomp: /proc/self/status"),
    exact("run --rm busybox ls -1 /dev"),
    exact("run --rm busybox sh -c", "stat -c '%n %a %t %T' /dev/null /dev/zero /dev/tty /dev/random; ls -l /dev | sed 's/.* //' | sort | tail -8"),  # noqa: E501
    exact("run --rm busybox sh -c", "awk '{print $2,$3}' /proc/mounts | grep -v -e etc -e cgroup -e interrupts | sort -u"),
    exact("run --rm busybox sh -c", "echo x > /proc/sys/kernel/domainname; echo $?"),
    exact("run --rm busybox sh -c", "cat /proc/kcore | head -c1 | wc -c; ls /sys/firmware /proc/acpi /proc/scsi | cat"),  # noqa: E501
    exact("run --rm busybox sh -c", "mount -t tmpfs x /mnt; echo $?"),
    exact("run --rm --hostname h1 busybox sh -c", "hostname; cat /etc/hostname; tail -1 /etc/hosts | wc -l"),
    exact("run --rm --read-only busybox sh -c", "echo x > /f; echo $?"),
    exact("run --rm --read-only --tmpfs /t busybox sh -c", "echo x > /t/f; cat /t/f; awk '$2==\"/t\"{print $3,$4}' /proc/mounts"),  # noqa: E501
    exact("run --rm --shm-size 8m busybox sh -c", "df -k /dev/shm | tail -1 | awk '{print $2}'"),
    exact("run --rm --ulimit nofile=100:200 busybox sh -c", "ulimit -Sn; ulimit -Hn"),
    exact("run --rm --sysctl net.ipv4.ip_default_ttl=77 busybox cat /proc/sys/net/ipv4/ip_default_ttl"),
    exact("run --rm -w /made/here busybox pwd"),
    exact("run --rm --entrypoint echo busybox a b"),
    exact("run --rm --entrypoint", "", "busybox", "echo", "c"),
    exact("run --rm -e A=b -e PATH=/bin busybox env"),
    exact("run --rm --stop-signal 9 busybox true"),
    exact("run --rm --privileged busybox sh -c", "grep Seccomp: /proc/self/status; test -w /proc/sys/kernel/domainname && echo writable"),  # noqa: E501
    exact("run --rm --init busybox sh -c", "cat /proc/1/comm; test $$ -gt 1; echo $?"),
    exact("run --rm --oom-score-adj 77 busybox cat /proc/self/oom_score_adj"),
    exact("run --rm --pids-limit 33 busybox true"),
    exact("run --rm -i busybox cat", stdin="through\n"),
    exact("run --rm -i busybox wc -c", stdin="x" * 100000),
    exact("run --rm --group-add 77 busybox id"),
    exact("run --rm -u 5 busybox id"),
    exact("run --rm -u 5:6 busybox id"),
    exact("run --rm --network none busybox ls /sys/class/net"),
    exact("run --rm -v vol1:/v busybox sh -c", "echo kept > /v/f"),
    exact("run --rm -v vol1:/v:ro busybox sh -c", "cat /v/f; echo x > /v/f; echo $?"),
    exact("volume ls --format {{.Name}}"),
    exact("volume rm vol1"),
    exact("volume rm vol1"),
    exact("run --rm busybox sh -c", "kill -9 $$"),
    exact("run --rm busybox sh -c", "exit 42"),
)  # fmt: skip

DEVIATIONS: dict[str, tuple[str, str, str | int]] = {
    # the command line: why ours is another answer, the field, ours
    "exec run1 nosuchcommand": (
        "a command that is not found is 127, as with run and as Docker 28 has it",
        "code",
        127,
    ),
}

GROUPS = {"life": LIFE, "running": RUNNING, "refused": REFUSED, "inside": INSIDE}

_REPLACEMENTS = (
    (re.compile(r"\b[0-9a-f]{64}\b"), "<id>"),
    (re.compile(r"\b[0-9a-f]{12}\b"), "<short id>"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "<time>"),
    (re.compile(r"^wharfie: ", re.M), "docker: "),
    (re.compile(r"\bwharfie\b"), "docker"),
    (re.compile(r"/tmp/[\w./-]+"), "<path>"),
)


def normalise(text: str) -> str:
    """The text without what differs from one run, or one engine's name, to the next."""
    for pattern, replacement in _REPLACEMENTS:
        text = pattern.sub(replacement, text)
    return text
