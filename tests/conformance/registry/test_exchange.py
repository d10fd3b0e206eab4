"""Real engines and ours through one registry: what one pushes the others pull, layer by layer the same."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ours
from tests.conformance.registry import registries
from tests.conformance.registry.test_commands import done, layers_of
from tests.peers import docker


def peer(*words: str) -> str:
    finished = subprocess.run(words, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr + finished.stdout
    return finished.stdout


@pytest.fixture(scope="module")
def dockerd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Docker in this network namespace, so that it reaches the registry on the loopback address."""
    with docker.dockerd(tmp_path_factory.mktemp("dockerd"), own_network=False) as host:
        docker.load_busybox(host)
        yield host


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with registries.registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


def test_docker_pulls_what_we_push(engine: ours.Engine, server: str, dockerd: str) -> None:
    name = f"{server}/from/wharfie:1"
    done(engine, "tag", "busybox", name)
    digest = done(engine, "push", name).splitlines()[-1].split()[2]
    cli = [docker.docker_cli(), "-H", dockerd]

    pulled = peer(*cli, "pull", name)

    assert f"Digest: {digest}" in pulled
    theirs = json.loads(peer(*cli, "image", "inspect", name))[0]
    assert theirs["RootFS"]["Layers"] == layers_of(engine, name)
    assert theirs["Id"] == done(engine, "image", "inspect", "-f", "{{.Id}}", name).strip()
    assert peer(*cli, "run", "--rm", "--network", "none", name, "echo", "hello") == "hello\n"


def test_we_pull_what_docker_pushes_and_push_it_on_as_it_is(
    engine: ours.Engine, server: str, dockerd: str
) -> None:
    name = f"{server}/from/docker:1"
    cli = [docker.docker_cli(), "-H", dockerd]
    peer(*cli, "run", "--name", "changed", "--network", "none", "busybox", "sh", "-c", "echo new >/new")
    peer(*cli, "commit", "changed", name)
    peer(*cli, "rm", "changed")
    digest = peer(*cli, "push", name).splitlines()[-1].split()[2]

    pulled = done(engine, "pull", name)

    assert f"Digest: {digest}" in pulled
    theirs = json.loads(peer(*cli, "image", "inspect", name))[0]
    assert theirs["RootFS"]["Layers"] == layers_of(engine, name)
    assert done(engine, "run", "--rm", "--network", "none", name, "cat", "/new") == "new\n"
    onward = f"{server}/onward/image:1"
    done(engine, "tag", name, onward)
    said = done(engine, "push", onward)
    assert said.splitlines()[-1].split()[2] == digest
    assert said.count("Mounted from from/docker") == 2


def test_skopeo_and_podman_pull_what_we_push(engine: ours.Engine, server: str, tmp_path: Path) -> None:
    name = f"{server}/for/others:1"
    done(engine, "tag", "busybox", name)
    done(engine, "push", name)
    layers = layers_of(engine, name)

    peer(
        "skopeo",
        "--insecure-policy",
        "copy",
        "--src-tls-verify=false",
        f"docker://{name}",
        f"dir:{tmp_path}/dir",
    )
    config = json.loads(peer("skopeo", "inspect", "--config", "--tls-verify=false", f"docker://{name}"))
    # Podman takes no long path here
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="p") as short:
        podman = ["podman", "--root", f"{tmp_path}/root", "--runroot", f"{short}/run", "--storage-driver=vfs"]
        podman += ["--cgroup-manager=cgroupfs", "--events-backend=file"]
        peer(*podman, "pull", "--tls-verify=false", name)
        theirs = json.loads(peer(*podman, "image", "inspect", name))[0]

    assert config["rootfs"]["diff_ids"] == layers
    assert [one.removeprefix("sha256:") for one in theirs["RootFS"]["Layers"]] == [
        one.removeprefix("sha256:") for one in layers
    ]
