"""Containers from their creation to their removal, and what is done to running ones."""

from __future__ import annotations

from tests.peers.step import code, exact, shell

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
    shell("docker diff run1 | sort"),
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
