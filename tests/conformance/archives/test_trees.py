"""Images with everything in them, unpacked by us and by the real engines: the same trees, file by file.

What an archive says of the root directory itself Docker and Podman pass over; umoci and we do not.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import ours, trees
from tests.conformance.archives import nasty
from tests.conformance.archives.peers import Docker, Podman, skopeo
from tests.conformance.registry import registries


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    with Docker.running(tmp_path_factory.mktemp("docker")) as running:
        yield running


@pytest.fixture(scope="module")
def podman() -> Iterator[Podman]:
    with Podman.with_storage() as running:
        yield running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with registries.registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture(scope="module")
def layers() -> list[bytes]:
    return [nasty.base(), nasty.top(), nasty.third()]


@pytest.fixture
def clean(engine: ours.Engine) -> Iterator[ours.Engine]:
    yield engine
    names = engine.cli("images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
    for name in names:
        if name.startswith("nasty"):
            engine.cli("rmi", "-f", name)


def loaded(engine: ours.Engine, archive: bytes | Path) -> str:
    data = archive.read_bytes() if isinstance(archive, Path) else archive
    done = engine.cli("load", stdin=data)
    assert done.returncode == 0, done.stderr
    return done.stdout


def of_ours(engine: ours.Engine, name: str) -> dict[bytes, dict[str, Any]]:
    done = engine.cli("image", "inspect", name)
    assert done.returncode == 0, done.stderr
    return trees.of_graph(json.loads(done.stdout)[0]["GraphDriver"]["Data"])


@pytest.mark.parametrize("compression", nasty.COMPRESSIONS)
def test_a_layer_is_unpacked_as_docker_does(
    clean: ours.Engine, docker: Docker, tmp_path: Path, compression: str
) -> None:
    # files with holes only here: Docker unpacks them, and cannot put their archive together again
    layers = [nasty.base(tmp_path), nasty.top(), nasty.third()]
    archive = nasty.docker_archive(layers, f"nasty:{compression}", compression)
    assert loaded(clean, archive) == f"Loaded image: nasty:{compression}\n"
    own = of_ours(clean, f"nasty:{compression}")
    if compression in ("chunked", "zstd"):  # dockerd knows the one in new versions only, the other in none
        archive = nasty.docker_archive(layers, f"nasty:{compression}", "gzip")
    docker.load(archive)
    assert trees.difference(own, docker.tree(f"nasty:{compression}"), top=False) == []
    assert b"/gone/again" in own
    assert b"/old/hidden" not in own
    assert own[b"/etc/capable"]["xattrs"]
    assert own[b"/late"]["mtime"] == 1_500_000_000_000_000_001


def test_what_docker_saves_goes_through_us_to_podman_and_skopeo(
    clean: ours.Engine, docker: Docker, podman: Podman, layers: list[bytes], tmp_path: Path
) -> None:
    docker.load(nasty.docker_archive(layers, "nasty:1"))
    docker.save(tmp_path / "docker.tar", "nasty:1")
    loaded(clean, tmp_path / "docker.tar")
    assert clean.cli("save", "-o", str(tmp_path / "ours.tar"), "nasty:1").returncode == 0
    podman.load(tmp_path / "ours.tar")
    skopeo("copy", f"oci-archive:{tmp_path}/ours.tar:1", f"oci-archive:{tmp_path}/skopeo.tar:nasty:2")
    loaded(clean, tmp_path / "skopeo.tar")
    wanted = docker.tree("nasty:1")
    assert trees.difference(of_ours(clean, "nasty:1"), wanted, top=False) == []
    assert trees.difference(of_ours(clean, "nasty:2"), wanted, top=False) == []
    assert trees.difference(podman.tree("nasty:1"), wanted, top=False) == []


def test_what_we_save_is_the_same_image_everywhere(
    clean: ours.Engine, docker: Docker, podman: Podman, layers: list[bytes], tmp_path: Path
) -> None:
    loaded(clean, nasty.docker_archive(layers, "nasty:3", "gzip"))
    assert clean.cli("save", "-o", str(tmp_path / "ours.tar"), "nasty:3").returncode == 0
    identity = clean.cli("image", "inspect", "-f", "{{.Id}}", "nasty:3").stdout.strip()
    docker.load((tmp_path / "ours.tar").read_bytes())
    podman.load(tmp_path / "ours.tar")
    assert docker.identity("nasty:3") == podman.identity("nasty:3") == identity
    wanted = of_ours(clean, "nasty:3")
    assert trees.difference(docker.tree("nasty:3"), wanted, top=False) == []
    assert trees.difference(podman.tree("nasty:3"), wanted, top=False) == []


def test_what_docker_saves_goes_through_us_and_a_registry_to_podman_and_skopeo(
    clean: ours.Engine, docker: Docker, podman: Podman, layers: list[bytes], server: str, tmp_path: Path
) -> None:
    docker.load(nasty.docker_archive(layers, "nasty:8"))
    docker.save(tmp_path / "docker.tar", "nasty:8")
    loaded(clean, tmp_path / "docker.tar")
    name = f"{server}/nasty:8"
    for words in (("tag", "nasty:8", name), ("push", name), ("rmi", name)):
        assert clean.cli(*words).returncode == 0
    podman.pull(name)
    copied = f"docker-archive:{tmp_path}/skopeo.tar:nasty:9"
    skopeo("copy", "--src-tls-verify=false", f"docker://{name}", copied)
    docker.load((tmp_path / "skopeo.tar").read_bytes())
    wanted = docker.tree("nasty:8")
    assert trees.difference(podman.tree(name), wanted, top=False) == []
    assert trees.difference(docker.tree("nasty:9"), wanted, top=False) == []


def test_what_podman_pushes_goes_through_us_to_docker(
    clean: ours.Engine, docker: Docker, podman: Podman, layers: list[bytes], server: str, tmp_path: Path
) -> None:
    archive = tmp_path / "in.tar"
    archive.write_bytes(nasty.docker_archive(layers, "nasty:10"))
    podman.load(archive)
    name = f"{server}/nasty:10"
    podman.push("nasty:10", name)
    assert clean.cli("pull", name).returncode == 0
    try:
        own = of_ours(clean, name)
        assert clean.cli("save", "-o", str(tmp_path / "ours.tar"), name).returncode == 0
    finally:
        clean.cli("rmi", name)
    docker.load((tmp_path / "ours.tar").read_bytes())
    wanted = podman.tree("nasty:10")
    assert trees.difference(own, wanted, top=False) == []
    assert trees.difference(docker.tree(name), wanted, top=False) == []


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_what_podman_saves_is_loaded(
    clean: ours.Engine, podman: Podman, layers: list[bytes], tmp_path: Path, form: str
) -> None:
    archive = tmp_path / "in.tar"
    archive.write_bytes(nasty.docker_archive(layers, "nasty:4"))
    podman.load(archive)
    podman.save(tmp_path / "out.tar", form, "nasty:4")
    assert "Loaded image: localhost/nasty:4" in loaded(clean, tmp_path / "out.tar") or (
        "Loaded image: nasty:4" in loaded(clean, tmp_path / "out.tar")
    )
    name = "localhost/nasty:4"
    if clean.cli("image", "inspect", name).returncode:
        name = "nasty:4"
    assert trees.difference(of_ours(clean, name), podman.tree("nasty:4"), top=False) == []
    clean.cli("rmi", name)


def test_a_squashed_image_has_the_same_tree(clean: ours.Engine, layers: list[bytes]) -> None:
    loaded(clean, nasty.docker_archive(layers, "nasty:5"))
    done = clean.cli("image", "squash", "nasty:5", "nasty:6")
    assert done.returncode == 0, done.stderr
    assert trees.difference(of_ours(clean, "nasty:6"), of_ours(clean, "nasty:5")) == []
    count = clean.cli("image", "inspect", "-f", "{{len .RootFS.Layers}} {{.Config.Cmd}}", "nasty:6")
    assert count.stdout == "1 [/bin/tool]\n"


def test_a_bundle_of_umoci_has_the_same_tree(clean: ours.Engine, layers: list[bytes], tmp_path: Path) -> None:
    loaded(clean, nasty.docker_archive(layers, "nasty:7"))
    assert clean.cli("save", "-o", str(tmp_path / "ours.tar"), "nasty:7").returncode == 0
    skopeo("copy", f"oci-archive:{tmp_path}/ours.tar:7", f"oci:{tmp_path}/layout:x")
    subprocess.run(
        ["umoci", "raw", "unpack", "--image", f"{tmp_path}/layout:x", str(tmp_path / "root")],
        check=True,
        capture_output=True,
    )
    assert trees.difference(trees.tree(str(tmp_path / "root")), of_ours(clean, "nasty:7")) == []
