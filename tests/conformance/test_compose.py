"""Docker Compose v2, unmodified, against our engine: a project from ``up`` to ``down``, nothing left."""

from __future__ import annotations

import os
import shutil
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests import ours
from tests.peers import docker

PROJECT = Path(__file__).with_name("compose")
Compose = Callable[..., str]


def names(engine: ours.Engine, kind: str) -> set[str]:
    """What is there of one kind, by name."""
    words = {
        "container": ("ps", "-a", "--format", "{{.Names}}"),
        "network": ("network", "ls", "--format", "{{.Name}}"),
        "volume": ("volume", "ls", "--format", "{{.Name}}"),
        "image": ("images", "--format", "{{.Repository}}"),
    }
    return set(engine.cli(*words[kind]).stdout.split())


@pytest.fixture(scope="module")
def compose(engine: ours.Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """The project, up; a function that runs one command of Compose in it."""
    place = tmp_path_factory.mktemp("compose") / "project"
    shutil.copytree(PROJECT, place)
    program = docker.docker_compose()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COMPOSE_")}
    environment |= {
        "DOCKER_HOST": engine.host,
        # BuildKit's session is not there
        "DOCKER_BUILDKIT": "0",
        "DOCKER_CONFIG": str(place / "settings"),
    }

    def run(*words: str, code: int = 0) -> str:
        done = subprocess.run(
            [program, "--ansi", "never", *words],
            cwd=place,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert done.returncode == code, done.stderr
        return done.stdout if code == 0 else done.stderr

    before = {kind: names(engine, kind) for kind in ("container", "network", "volume", "image")}
    try:
        run("up", "-d")
        yield run
    finally:
        run("--profile", "*", "down", "-v", "--rmi", "local", "--remove-orphans")
        for kind, there in before.items():
            ours.until(lambda kind=kind, there=there: names(engine, kind) <= there, f"a {kind} is left")


def logged(compose: Compose, service: str) -> list[str]:
    """The lines of its containers, without Compose's own sequences before them."""
    lines = compose("--profile", "*", "logs", "--no-log-prefix", service).splitlines()
    return [line.removeprefix("\x1b[2K") for line in lines]


def test_what_is_up_waited_for_what_it_depends_on(compose: Compose) -> None:
    states = compose("ps", "-a", "--format", "{{.Service}} {{.State}} {{.Health}} {{.ExitCode}}")
    assert sorted(line.strip() for line in states.splitlines()) == [
        "db running healthy 0",
        "migrate exited  0",
        "web running  0",
        "worker running  0",
        "worker running  0",
    ]
    # written by migrate, of what db had when it was healthy
    assert compose("exec", "-T", "web", "cat", "/data/migrated") == "rows\n"


def test_configs_secrets_variables_and_mounts_are_in_the_container(compose: Compose) -> None:
    files = ("/www/page", "/run/secrets/token", "/site/x", "/www/index.html")
    shown = compose("exec", "-T", "web", "cat", *files)
    assert shown == "page\ns3cret\nsite\nbuilt\n"
    assert compose("exec", "-T", "web", "sh", "-c", "echo $FROM_ENV $IN_FILE") == "default yes\n"
    assert compose("exec", "-T", "web", "sh", "-c", "touch /data/x 2>/dev/null || echo kept") == "kept\n"


def test_networks_have_names_aliases_and_fixed_addresses(compose: Compose) -> None:
    for name in ("database", "db", "proj-db-1"):
        said = compose("exec", "-T", "web", "ping", "-c", "1", "-W", "10", name)
        assert "(10.219.7.10)" in said
    place = compose("port", "web", "80").strip()

    def page() -> bytes:
        with suppress(OSError), urllib.request.urlopen(f"http://{place}/index.html", timeout=20) as answer:
            return bytes(answer.read())
        return b""  # it does not listen yet

    ours.until(page, "the service does not answer")
    assert page() == b"built\n"


def test_logs_top_run_and_cp(compose: Compose, tmp_path: Path) -> None:
    ours.until(lambda: logged(compose, "worker") == ["working"] * 2, "both workers say so")
    assert compose("top", "worker").count("trap 'exit 0' TERM") == 2
    assert compose("run", "--rm", "-T", "worker", "echo", "one-off") == "one-off\n"
    (tmp_path / "there").write_text("and back")
    compose("cp", str(tmp_path / "there"), "web:/tmp/x")
    compose("cp", "web:/tmp/x", str(tmp_path / "back"))
    assert (tmp_path / "back").read_text() == "and back"
    assert "proj-web" in compose("images")
    assert compose("ls", "-q") == "proj\n"


def test_services_stop_start_scale_and_are_made_anew(compose: Compose) -> None:
    first = set(compose("ps", "-q", "worker").split())
    compose("stop", "worker")
    assert compose("ps", "-q", "worker") == ""
    compose("start", "worker")
    compose("restart", "worker")
    assert set(compose("ps", "-q", "worker").split()) == first
    compose("up", "-d", "--no-deps", "--no-recreate", "--scale", "worker=3", "worker")
    assert first < set(compose("ps", "-q", "worker").split())
    compose("pause", "worker")
    compose("unpause", "worker")
    compose("up", "-d", "--no-deps", "--force-recreate", "--pull", "never", "worker")
    anew = set(compose("ps", "-q", "worker").split())
    assert len(anew) == 2
    assert anew.isdisjoint(first)
    compose("kill", "worker")
    compose("rm", "-f", "worker")
    assert compose("ps", "-aq", "worker") == ""
    compose("scale", "--no-deps", "worker=1")
    assert len(compose("ps", "-q", "worker").split()) == 1


def test_profiles_and_conditions_that_fail(compose: Compose) -> None:
    assert "debug" not in compose("ps", "-a", "--services").split()
    compose("--profile", "debug", "up", "-d", "debug")
    ours.until(lambda: logged(compose, "debug") == ["debugging"], "the service of the profile says so")
    said = compose("--profile", "broken", "up", "-d", "after", code=1)
    assert 'service "broken" didn\'t complete successfully: exit 3' in said
