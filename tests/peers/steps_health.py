"""Health checks: what is told of them while they change."""

# ruff: noqa: E501

from __future__ import annotations

from tests.peers.step import exact, shell

_STATUS = "docker inspect --format '{{.State.Health.Status}} {{.State.Health.FailingStreak}}'"


def _until(name: str, status: str) -> str:
    return f"until [ \"$(docker inspect --format '{{{{.State.Health.Status}}}}' {name})\" = {status} ]; do sleep 0.1; done"


HEALTH = (
    shell(f"docker run -d --name h1 --health-cmd 'echo looked; test -e /ok' --health-interval 1200ms --health-retries 2 busybox sleep 1000; {_STATUS} h1; docker ps --format '{{{{.Status}}}}' --filter name=h1; docker ps -q --filter health=starting --filter name=h1 | wc -l"),
    shell(f"{_until('h1', 'unhealthy')}; docker ps --format '{{{{.Status}}}}' --filter health=unhealthy; docker inspect --format '{{{{with index .State.Health.Log 0}}}}{{{{.ExitCode}}}} {{{{json .Output}}}}{{{{end}}}}' h1"),
    shell(f"docker exec h1 touch /ok; {_until('h1', 'healthy')}; {_STATUS} h1; docker ps --format '{{{{.Status}}}}' --filter health=healthy; docker ps -q --filter health=none --filter name=h1"),
    shell("sleep 1.1; docker events --since $(docker inspect --format '{{.Created}}' h1) --until 0s --filter container=h1 --filter event=health_status --format '{{.Action}}'"),
    shell(f"docker pause h1; docker ps --format '{{{{.Status}}}}' --filter name=h1; docker unpause h1; docker kill h1; docker wait h1; {_STATUS} h1; docker start h1; {_STATUS} h1; {_until('h1', 'healthy')}; docker rm -f h1"),
    shell(f"docker run -d --name h2 --health-cmd 'exit 1' --health-interval 300ms --health-retries 1 --health-start-period 60s --health-start-interval 200ms busybox sleep 1000; until [ $(docker inspect --format '{{{{len .State.Health.Log}}}}' h2) -ge 3 ]; do sleep 0.1; done; {_STATUS} h2; docker rm -f h2"),
    shell(f"docker run -d --name h3 --health-cmd 'echo before; sleep 100' --health-interval 300ms --health-timeout 2s --health-retries 1 busybox sleep 1000; {_until('h3', 'unhealthy')}; docker inspect --format '{{{{with index .State.Health.Log 0}}}}{{{{.ExitCode}}}} {{{{json .Output}}}}{{{{end}}}}' h3; docker rm -f h3"),
    shell(f"docker run -d --name h4 --health-cmd 'yes | head -c 5000' --health-interval 300ms busybox sleep 1000; {_until('h4', 'healthy')}; docker inspect --format '{{{{with index .State.Health.Log 0}}}}{{{{len .Output}}}}{{{{end}}}}' h4; until [ $(docker inspect --format '{{{{len .State.Health.Log}}}}' h4) -ge 5 ]; do sleep 0.1; done; sleep 1; docker inspect --format '{{{{len .State.Health.Log}}}}' h4; docker rm -f h4"),
    shell("docker create --name h5 busybox; docker commit --change 'HEALTHCHECK --interval=5s --retries=7 CMD [\"true\"]' h5 checked; docker rm h5; docker create --name h6 checked; docker inspect --format '{{json .Config.Healthcheck}} {{json .State.Health}}' h6; docker rm h6; docker create --name h6 --health-interval 9s checked; docker inspect --format '{{json .Config.Healthcheck}}' h6; docker rm h6; docker create --name h6 --health-cmd x checked; docker inspect --format '{{json .Config.Healthcheck}}' h6; docker rm h6; docker create --name h6 --no-healthcheck checked; docker inspect --format '{{json .Config.Healthcheck}}' h6; docker start h6; docker inspect --format '{{json .State.Health}}' h6; docker rm -f h6; docker rmi checked >/dev/null"),
    *(exact(f"create --name never {options} --health-cmd true busybox") for options in ("--health-interval 1us", "--health-timeout 1us", "--health-start-period 1us", "--health-start-interval 10us", "--health-retries -1", "--health-interval -5s", "--no-healthcheck", "--health-interval x")),
    exact("ps -a --filter health=nosuch"),
    exact("ps -aq --filter name=never"),
)  # fmt: skip
