"""Where a build's result goes: names, registries, archives, and what is written of it to files."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.registry import registries
from tests.kernel.build.conftest import Yard


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with registries.registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


def metadata(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    assert len(found.pop("buildx.build.ref").split("/")) == 3
    return found


def test_outputs_are_directories_and_archives(yard: Yard, tmp_path: Path) -> None:
    yard.write("FROM scratch\nCOPY f /d/f", {"f": "content"})
    assert yard.build("-o", f'type=local,"dest={tmp_path}/a,b"').code == 0
    assert (tmp_path / "a,b/d/f").read_text() == "content"
    assert yard.build("-o", f"type=tar,dest={tmp_path}/t.tar").code == 0
    with tarfile.open(tmp_path / "t.tar") as archive:
        assert "d/f" in archive.getnames()
    done = yard.build(
        "-o", f"type=oci,name=out:1,dest={tmp_path}/oci.tar", "--metadata-file", f"{tmp_path}/m"
    )
    assert done.code == 0, done.text
    with tarfile.open(tmp_path / "oci.tar") as archive:
        index = archive.extractfile("index.json")
        assert index is not None
        (entry,) = json.load(index)["manifests"]
    found = metadata(tmp_path / "m")
    assert (
        entry["annotations"]["io.containerd.image.name"] == found["image.name"] == "docker.io/library/out:1"
    )
    assert entry["digest"] == found["containerimage.digest"]
    assert entry["size"] == found["containerimage.descriptor"]["size"]


def test_ids_and_metadata_are_written_to_files(yard: Yard, tmp_path: Path) -> None:
    files = ("--iidfile", f"{tmp_path}/id", "--metadata-file", f"{tmp_path}/m")
    done = yard.build("-t", "m:1", "-t", "n", *files, dockerfile="FROM busybox\nENV x=1")
    assert (tmp_path / "id").read_text() == done.image
    found = metadata(tmp_path / "m")
    assert found["image.name"] == "docker.io/library/m:1,docker.io/library/n:latest"
    assert found["containerimage.config.digest"] == done.image
    assert found["containerimage.digest"] == found["containerimage.descriptor"]["digest"] != done.image
    assert found["containerimage.descriptor"]["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    assert found["containerimage.descriptor"]["annotations"]["config.digest"] == done.image


def test_an_image_has_the_names_of_its_output_unless_it_has_tags(yard: Yard) -> None:
    yard.write("FROM busybox\nENV names=1")
    assert yard.build("-o", 'type=image,"name=one:1,two:2"').code == 0
    assert yard.build("-t", "tagged", "-o", "type=image,name=three:3").code == 0
    listed = yard.engine.cli("images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
    assert {"one:1", "two:2", "tagged:latest"} <= set(listed)
    assert "three:3" not in listed


def test_an_output_pushes_under_its_own_name(yard: Yard, server: str, tmp_path: Path) -> None:
    yard.write("FROM busybox\nENV pushed=1")
    for number, output in enumerate(("type=registry,name={}", "type=image,push=true,name={}")):
        name = f"{server}/by/output{number}:1"
        done = yard.build("-o", output.format(name), "--metadata-file", f"{tmp_path}/m")
        assert done.code == 0, done.text
        found = metadata(tmp_path / "m")
        shown = json.loads(yard.engine.cli("manifest", "inspect", "-v", name).stdout)
        assert found["containerimage.digest"] == shown["Descriptor"]["digest"]
        assert found["containerimage.descriptor"]["mediaType"] == shown["Descriptor"]["mediaType"]
        assert found["image.name"] == name


BAD = [
    (("-o", "type=registry"), "tag is needed when pushing to registry"),
    (("--push",), "tag is needed when pushing to registry"),
    (("-o", "type=nix"), "unsupported output type 'nix'"),
    (("-o", 'type=local,de"st=x'), 'parse error on line 1, column 14: bare " in non-quoted-field'),
    (("-o", "type=image,push-by-digest=true"), "push-by-digest=true is not supported"),
    (("-o", "type=local"), "dest is required for local output"),
]


@pytest.mark.parametrize(("words", "message"), BAD)
def test_an_output_that_is_none_is_told_before_anything_is_built(
    yard: Yard, words: tuple[str, ...], message: str
) -> None:
    done = yard.build(*words, dockerfile="FROM busybox\nRUN false")
    assert done.code != 0
    assert message in done.text
    assert done.messages == []


def test_a_stage_begins_from_a_further_context_that_is_a_directory(yard: Yard, tmp_path: Path) -> None:
    (tmp_path / "base").mkdir(mode=0o755)
    (tmp_path / "base/f").write_text("from the directory")
    words = ("-t", "local", "--build-context", f"base={tmp_path}/base")
    done = yard.build(*words, dockerfile="FROM base\nCOPY Dockerfile /more")
    assert done.code == 0, done.text
    assert yard.build("-o", str(tmp_path / "out"), *words).made == []
    assert (tmp_path / "out/f").read_text() == "from the directory"
    assert (tmp_path / "out/more").exists()
    found = json.loads(yard.engine.cli("inspect", "local").stdout)[0]
    assert len(found["RootFS"]["Layers"]) == 2
    (tmp_path / "base/f").write_text("changed")
    assert yard.build(*words).image != done.image


def test_copies_keep_parents_and_leave_out_what_is_excluded(yard: Yard) -> None:
    """As in Docker's reference; the Docker that is recorded does not know these flags yet."""
    files = ("x/a.txt", "x/y/b.txt", "x/y/c.md", "z/a.txt", "z/deep/er/d.txt")
    done = yard.build(
        "-t", "copied", files=dict.fromkeys(files, "content"),
        dockerfile=(
            "FROM busybox\n"
            "COPY --parents ./x/a.txt ./z/a.txt /parents/\n"
            "COPY --parents x/./y/*.txt /pivot/\n"
            "COPY --parents ./z/*/er /tree/\n"
            "COPY --exclude=*.md --exclude=a.txt x /without/\n"
            "COPY --exclude=**/*.txt --exclude=!**/d.txt --exclude=Dockerfile . /only/\n"
            "ADD --exclude=y x /added/"
        ),
    )  # fmt: skip
    assert done.code == 0, done.text
    places = ("/parents", "/pivot", "/tree", "/without", "/only", "/added")
    found = set(yard.run("copied", "find", *places, "-type", "f").split())
    assert found == {
        "/parents/x/a.txt", "/parents/z/a.txt", "/pivot/y/b.txt", "/tree/z/deep/er/d.txt", "/without/y/b.txt",
        "/without/y/c.md", "/only/x/y/c.md", "/only/z/deep/er/d.txt", "/added/a.txt",
    }  # fmt: skip


def test_quotes_in_the_value_of_a_secret_are_taken_off(yard: Yard, tmp_path: Path) -> None:
    (tmp_path / "a,b").write_text("secret")
    whole = hashlib.sha256(b"secret").hexdigest()
    done = yard.build(
        "--secret", f'id=s,"src={tmp_path}/a,b"',
        dockerfile="FROM busybox\nRUN --mount=type=secret,id=s sha256sum /run/secrets/s",
    )  # fmt: skip
    assert done.code == 0, done.text
    assert whole in done.output
