"""Caches that leave one engine and are used on another: in a registry, in a directory, inside an image."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ours
from tests.conformance.registry import registries
from tests.kernel.build.conftest import Build, Files, Yard
from tests.peers.docker import docker_cli

DOCKERFILE = """FROM busybox AS maker
ENV made=1
RUN cat /proc/sys/kernel/random/uuid > /id && mkdir /d && echo x > /d/x
WORKDIR /w
FROM busybox
COPY f /f
RUN : nothing
RUN cat /proc/sys/kernel/random/uuid > /own
COPY --from=maker /id /id"""
FILES: Files = {"f": "content"}
MAKER = {
    "ENV made=1",
    "RUN cat /proc/sys/kernel/random/uuid > /id && mkdir /d && echo x > /d/x",
    "WORKDIR /w",
}


class Pair:
    """The engine that exports, and a second one that is as good as new."""

    def __init__(self, yard: Yard, other: ours.Engine) -> None:
        self.yard = yard
        self.other = other

    def first(self, *words: str) -> Build:
        """Build on the first."""
        done = self.yard.build(*words, dockerfile=DOCKERFILE, files=FILES)
        assert done.code == 0, done.text
        return done

    def second(self, *words: str) -> Build:
        """Build the same on the second, which knows nothing."""
        self.forget()
        context = str(self.yard.context)
        done = Build(self.other.cli("build", "--progress", "rawjson", "-t", "second", *words, context))
        assert done.code == 0, done.text
        return done

    def forget(self) -> None:
        """No cache and no image but the base are left on the second."""
        nameless = self.other.cli("images", "-q", "-f", "dangling=true").stdout.split()
        self.other.cli("rmi", "-f", "second", *nameless)
        self.other.cli("builder", "prune", "-af")
        assert self.other.cli("images", "-q").stdout.count("\n") == 1


@pytest.fixture(scope="module")
def other(engine: ours.Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ours.Engine]:
    """With the very base image of the first one."""
    place = tmp_path_factory.mktemp("other")
    with ours.engine(place, bridge="whb2") as running:
        running.cli("rmi", "busybox")
        assert engine.cli("save", "-o", f"{place}/base.tar", "busybox").returncode == 0
        assert running.cli("load", "-i", f"{place}/base.tar").returncode == 0
        yield running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with registries.registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture
def pair(yard: Yard, other: ours.Engine) -> Iterator[Pair]:
    yield Pair(yard, other)
    state = other.state
    ours.until(lambda: not [*(state / "data/tmp").iterdir()], "the second engine keeps nothing of a build")


def test_a_whole_cache_in_a_registry_makes_every_step_cached_elsewhere(pair: Pair, server: str) -> None:
    ref = f"{server}/cache/whole:v1"
    first = pair.first("--cache-to", f"type=registry,ref={ref},mode=max")
    second = pair.second("--cache-from", f"type=registry,ref={ref}")
    assert (second.made, second.image) == ([], first.image)
    assert pair.other.cli("system", "check").returncode == 0
    shown = json.loads(pair.yard.engine.cli("manifest", "inspect", ref).stdout)
    assert shown["config"]["mediaType"] == "application/vnd.buildkit.cacheconfig.v0"
    again = pair.first("--cache-to", f"type=registry,ref={ref}-index,mode=max,image-manifest=false")
    assert again.made == []
    assert pair.second("--cache-from", f"{ref}-index").made == []


def test_a_small_cache_has_the_steps_of_the_results_own_stages(pair: Pair, server: str) -> None:
    ref = f"{server}/cache/small:v1"
    pair.first("--cache-to", f"type=registry,ref={ref}")
    second = pair.second("--cache-from", f"type=registry,ref={ref}")
    assert set(second.made) == {*MAKER, "COPY --from=maker /id /id"}


def test_a_cache_in_a_directory_is_an_oci_layout_and_is_used_elsewhere(pair: Pair, tmp_path: Path) -> None:
    place = tmp_path / "a,b"
    first = pair.first("--cache-to", f'type=local,"dest={place}",mode=max,tag=one')
    pair.first("--cache-to", f'type=local,"dest={place}",mode=max,compression=uncompressed')
    for blob in (place / "blobs/sha256").iterdir():
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    tags = [one["annotations"] for one in json.loads((place / "index.json").read_text())["manifests"]]
    assert tags == [{"org.opencontainers.image.ref.name": name} for name in ("latest", "one")]
    for word in (f'type=local,"src={place}"', f'type=local,"src={place}",tag=one'):
        second = pair.second("--cache-from", word)
        assert (second.made, second.image) == ([], first.image), second.text


def test_a_cache_inside_an_image_comes_with_it(pair: Pair, server: str) -> None:
    ref = f"{server}/cache/inline:v1"
    first = pair.first("-t", ref, "--push", "--cache-to", "type=inline")
    assert pair.yard.run(ref, "cat", "/f") == "content"
    left = {*MAKER, "COPY --from=maker /id /id"}
    second = pair.second("--cache-from", f"type=registry,ref={ref}")
    assert set(second.made) == left
    assert second.image != first.image
    # by its name, as docker's API has it: pulled before, and out of the registry
    pair.forget()
    assert pair.other.cli("pull", ref).returncode == 0
    named = Build(
        pair.other.cli("build", "--progress", "rawjson", "--cache-from", ref, str(pair.yard.context))
    )
    assert set(named.made) == left, named.text
    pair.other.cli("rmi", "-f", ref)
    assert set(pair.second("--cache-from", ref).made) == left


def test_the_classic_builder_of_docker_uses_a_cache_inside_an_image(pair: Pair, server: str) -> None:
    ref = f"{server}/cache/classic:v1"
    simple = "FROM busybox\nRUN cat /proc/sys/kernel/random/uuid > /own\n"
    pair.yard.write(simple)

    def docker(engine: ours.Engine, *words: str) -> str:
        environment = {**os.environ, "DOCKER_BUILDKIT": "0", "DOCKER_HOST": engine.host}
        done = subprocess.run(
            [docker_cli(), *words], env=environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    context = str(pair.yard.context)
    docker(pair.yard.engine, "build", "--build-arg", "BUILDKIT_INLINE_CACHE=1", "-t", ref, context)
    docker(pair.yard.engine, "push", ref)
    pair.forget()
    assert "Using cache" in docker(pair.other, "build", "--cache-from", ref, "-t", "second", context)


def test_a_build_that_needs_no_layer_of_a_stage_fetches_none(pair: Pair, server: str) -> None:
    ref = f"{server}/cache/lazy:v1"
    pair.first("--cache-to", f"type=registry,ref={ref},mode=max")
    second = pair.second("--cache-from", f"type=registry,ref={ref}", "--target", "maker")
    assert second.made == []
    described = pair.other.cli("builder", "du").stdout
    assert "/own" not in described


def test_a_damaged_layer_is_told_and_its_step_is_done_anew(pair: Pair, tmp_path: Path) -> None:
    pair.first("--cache-to", f"type=local,dest={tmp_path}/c,mode=max,compression=uncompressed")
    spoilt = []
    for blob in (tmp_path / "c/blobs/sha256").iterdir():
        if tarfile.is_tarfile(blob):
            data = bytearray(blob.read_bytes())
            if b"x\n" in data and b"d/x" in data:
                data[data.index(b"x\n")] = ord("y")
                blob.write_bytes(data)
                spoilt.append(blob.name)
    assert len(spoilt) == 1
    second = pair.second("--cache-from", f"type=local,src={tmp_path}/c")
    assert "a layer of the cache type=local cannot be used" in second.text
    assert MAKER & set(second.made) == MAKER - {"ENV made=1"}  # the layers below the last are others, too
    assert pair.other.cli("run", "--rm", "second", "cat", "/f").stdout == "content"


def test_a_link_in_a_sent_cache_leads_nowhere(pair: Pair, tmp_path: Path) -> None:
    pair.first("--cache-to", f"type=local,dest={tmp_path}/c")
    (tmp_path / "c/index.json").rename(tmp_path / "secret.json")
    (tmp_path / "c/index.json").symlink_to(tmp_path / "secret.json")
    second = pair.second("--cache-from", f"type=local,src={tmp_path}/c")
    assert "failed to import the cache type=local: it has no index.json" in second.text
    assert second.cached == []


REFUSED: list[tuple[tuple[str, str], str]] = [
    (("--cache-from", "type=registry"), "registry cache importer requires ref"),
    (("--cache-from", "type=local"), "local cache importer requires src"),
    (
        ("--cache-from", "type=gha"),
        "--cache-from type=gha is not supported: it is one of registry, local, inline",
    ),
    (("--cache-from", "type=registry,ref=BAD@@"), "invalid reference format"),
    (("--cache-to", "type=local"), "local cache exporter requires dest"),
    (("--cache-to", "type=registry"), "registry cache exporter requires ref"),
    (("--cache-to", "type=inline,mode=some"), "mode=some is not valid: it is min or max"),
    (("--cache-to", "type=inline,compression=zstd"), "compression=zstd is not supported"),
    (("--cache-to", "type=s3,bucket=b"), "--cache-to type=s3 is not supported"),
]


@pytest.mark.parametrize(("words", "message"), REFUSED)
def test_a_cache_that_is_none_is_refused_before_anything_is_built(
    yard: Yard, words: tuple[str, str], message: str
) -> None:
    done = yard.build(*words, dockerfile="FROM busybox\nRUN false")
    assert (done.code != 0, message in done.text) == (True, True), done.text
    assert done.steps == {}


def test_a_cache_that_cannot_be_had_is_told_and_one_that_cannot_be_put_is_an_error(yard: Yard) -> None:
    gone = "127.0.0.1:1/x/y:z"
    words = (
        "--cache-from",
        f"type=registry,ref={gone}",
        "--cache-from",
        "type=local,src=/nosuch",
        "--cache-from",
        "busybox",
    )
    done = yard.build(*words, dockerfile="FROM busybox\nENV x=1")
    assert done.code == 0
    assert f"failed to import the cache {gone}: " in done.text
    assert "local cache import at /nosuch not found" in done.text
    assert "failed to import the cache busybox: the image has no cache inside" in done.text
    put = yard.build("--cache-to", f"type=registry,ref={gone}")
    assert (put.code, f"failed to export the cache to {gone}: " in put.error) == (1, True), put.text
    assert yard.build("--cache-to", f"type=registry,ref={gone},ignore-error=true").code == 0


FILL = (
    "FROM busybox\nRUN --mount=type=cache,id=wheels,target=/c {} "
    "mkdir -p /c/d && echo kept > /c/d/f && chown -R 5:6 /c/d && chmod 711 /c && ln -s d /c/link\n"
)
LOOK = "FROM busybox\nRUN --mount=type=cache,id=wheels,target=/c cat /c/link/f && stat -c '%a %u' /c /c/d/f\n"


def test_a_cache_mount_goes_from_one_engine_to_the_other(pair: Pair, tmp_path: Path) -> None:
    pair.yard.build(dockerfile=FILL.format(""))
    (record,) = [one for one in records(pair.yard.engine) if one["Type"] == "exec.cachemount"]
    archive = str(tmp_path / "c.tar")
    for name in ("wheels", record["ID"][:12]):
        done = pair.yard.engine.cli("builder", "export", "-o", archive, name)
        assert done.returncode == 0, done.stderr
    pair.other.cli("builder", "prune", "-af")
    pair.other.cli("builder", "import", "wheels", stdin=b"".join(old_archive()))
    assert pair.other.cli("builder", "import", "wheels", archive).stdout == "wheels\n"
    pair.yard.write(LOOK)
    look = Build(pair.other.cli("build", "--progress", "rawjson", "--no-cache", str(pair.yard.context)))
    assert look.output == "kept\n711 0\n644 5\n", look.text


def test_a_cache_mount_that_is_not_there_or_in_use_is_told(pair: Pair, tmp_path: Path) -> None:
    missing = pair.yard.engine.cli("builder", "export", "nosuch", "-o", str(tmp_path / "x"))
    assert (missing.returncode, "no such cache mount: nosuch" in missing.stderr) == (1, True)
    broken = pair.yard.engine.cli("builder", "import", "wheels", stdin=b"no archive" * 100)
    assert broken.returncode == 1
    pair.yard.write(FILL.format("echo begun; until [ -e /c/go ]; do sleep 0.05; done;"))
    words = [ours.WHARFIE, "-H", pair.yard.engine.host, "build", "--progress=plain", str(pair.yard.context)]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as build:
        assert build.stderr is not None
        while not build.stderr.readline().endswith(" begun\n"):
            assert build.poll() is None
        busy = pair.yard.engine.cli("builder", "import", "wheels", stdin=b"".join(old_archive()))
        for mount in (pair.yard.engine.state / "data/build-mounts").iterdir():
            (mount / "go").touch()
        build.communicate(timeout=60)
    assert (busy.returncode, "the cache mount wheels is in use by a build" in busy.stderr) == (1, True)
    assert build.returncode == 0


def records(engine: ours.Engine) -> list[dict[str, str]]:
    shown = engine.cli("builder", "du", "--verbose").stdout.split("\n\n")
    blocks = [dict(line.split(":", 1) for line in block.splitlines() if ":" in line) for block in shown]
    return [{name: value.strip() for name, value in block.items()} for block in blocks if "ID" in block]


def old_archive() -> Iterator[bytes]:
    """With a file that is to go."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("old"))
    yield buffer.getvalue()
