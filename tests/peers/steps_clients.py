"""What the command line itself says: questions, refusals, the order and width of what it shows."""

from __future__ import annotations

from tests.peers.step import code, exact, shell

CLIENTS = (
    shell("echo n | docker system prune"),
    shell("echo n | docker system prune -a --volumes"),
    shell("echo n | docker container prune"),
    shell("echo n | docker image prune -a"),
    shell("echo n | docker volume prune -a"),
    exact("system prune -f --volumes --filter until=1h"),
    exact("volume create --availability active x"),
    exact("volume create --group g --type mount --secret a=b --topology-required c=d x"),
    exact("volume ls --cluster"),
    exact("volume create a10"),
    exact("volume create a9"),
    exact("volume ls -q --filter name=a"),
    exact("volume rm a10 a9"),
    exact("-l foo ps"),
    code("network"),
    exact("context nosuch"),
    exact("run -d --name s1 busybox sleep 1000"),
    exact("stats --no-stream --no-trunc --format", "{{.Name}} {{.PIDs}} {{.ID}} {{.Container}}"),
    exact("top s1 -o comm,args"),
    exact("port s1 81"),
    exact("kill -s 99 s1"),
    exact("stop -s NOSUCH s1"),
    exact("rename s1 /bad/name"),
    exact("export s1 -o /nosuch/dir/x"),
    exact("rm -f s1"),
    exact("create --name c1 --log-opt compress=true --log-opt max-file=1 busybox true"),
    exact("start c1"),
    exact("create --name c2 --log-opt compress=x busybox true"),
    exact("start c2"),
    exact("create --name c3 --log-driver local --log-opt max-file=1 busybox true"),
    exact("start c3"),
    exact("rm c1 c2 c3"),
)
