"""Push, pull, login and manifests by both command lines, against the distribution registry."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ours
from tests.conformance.registry import registries
from tests.peers import docker


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with registries.registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "settings"))
    return tmp_path / "settings"


def done(engine: ours.Engine, *words: str, stdin: str | None = None) -> str:
    finished = engine.cli(*words, stdin=stdin)
    assert finished.returncode == 0, finished.stderr + finished.stdout
    return finished.stdout


def by_docker(engine: ours.Engine, *words: str) -> str:
    finished = subprocess.run(
        [docker.docker_cli(), "-H", engine.host, *words], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr + finished.stdout
    return finished.stdout


def layers_of(engine: ours.Engine, name: str) -> list[str]:
    found: list[str] = json.loads(done(engine, "image", "inspect", name))[0]["RootFS"]["Layers"]
    return found


@pytest.mark.parametrize("command", [done, by_docker], ids=["wharfie", "docker"])
def test_push_delete_pull_and_run(
    engine: ours.Engine, server: str, command: object, request: pytest.FixtureRequest
) -> None:
    run = done if command is done else by_docker
    name = f"{server}/round/{request.node.callspec.id}:1"
    done(engine, "tag", "busybox", name)
    layers = layers_of(engine, name)

    said = run(engine, "push", name).splitlines()

    short = layers[0].removeprefix("sha256:")[:12]
    assert said[0] == f"The push refers to repository [{name.rpartition(':')[0]}]"
    assert said[1] == f"{short}: Preparing"
    assert said[-2] in (f"{short}: Pushed", f"{short}: Mounted from round/wharfie")
    assert said[-1].startswith("1: digest: sha256:")
    digest = said[-1].split()[2]
    assert f"{short}: Layer already exists" in run(engine, "push", name)
    done(engine, "rmi", "-f", "busybox", *[line for line in names(engine) if line != "<none>:<none>"])

    pulled = run(engine, "pull", name).splitlines()

    assert pulled[0] == f"1: Pulling from round/{request.node.callspec.id}"
    assert f"Digest: {digest}" in pulled
    assert pulled[-2:] == [f"Status: Downloaded newer image for {name}", name]
    assert layers_of(engine, name) == layers
    assert done(engine, "run", "--rm", "--network", "none", name, "echo", "hello") == "hello\n"
    done(engine, "tag", name, "busybox")


def names(engine: ours.Engine) -> list[str]:
    return done(engine, "images", "--format", "{{.Repository}}:{{.Tag}}").split()


def test_all_tags_go_and_come(engine: ours.Engine, server: str) -> None:
    repository = f"{server}/many/tags"
    for tag in ("a", "b", "c"):
        done(engine, "tag", "busybox", f"{repository}:{tag}")
    said = done(engine, "push", "-a", repository)
    assert [line.split(":")[0] for line in said.splitlines() if ": digest: " in line] == ["a", "b", "c"]
    done(engine, "rmi", *[f"{repository}:{tag}" for tag in "abc"])

    pulled = by_docker(engine, "pull", "-a", repository).splitlines()

    assert [line for line in pulled if "Pulling from" in line] == [
        f"{tag}: Pulling from many/tags" for tag in "abc"
    ]
    assert {f"{repository}:{tag}" for tag in "abc"} <= set(names(engine))


def test_an_image_that_is_not_there_cannot_be_pushed(engine: ours.Engine, server: str) -> None:
    failed = engine.cli("push", f"{server}/none/such")
    assert (failed.returncode, failed.stderr) == (
        1, f"An image does not exist locally with the tag: {server}/none/such\n",
    )  # fmt: skip
    done(engine, "tag", "busybox", f"{server}/none/there:1")
    failed = engine.cli("push", f"{server}/none/there:2")
    assert (failed.returncode, failed.stderr) == (1, f"tag does not exist: {server}/none/there:2\n")


def test_an_image_is_pushed_for_the_platform_it_is_for(engine: ours.Engine, server: str) -> None:
    name = f"{server}/platform:1"
    done(engine, "tag", "busybox", name)
    here = done(engine, "image", "inspect", "--format", "{{.Os}}/{{.Architecture}}", name).strip()
    for command in ([ours.WHARFIE], [docker.docker_cli()]):
        words = [*command, "-H", engine.host, "push", "--platform"]
        refused = subprocess.run([*words, "linux/s390x", name], capture_output=True, text=True, check=False)
        assert refused.returncode == 1
        assert "does not provide the specified platform (linux/s390x)" in refused.stderr
        subprocess.run([*words, here, name], capture_output=True, check=True)


@pytest.mark.parametrize("words", [["image", "inspect"], ["history"], ["rmi"]], ids=" ".join)
def test_what_is_meant_for_another_platform_is_not_done(engine: ours.Engine, words: list[str]) -> None:
    done(engine, "tag", "busybox", "meant:1")
    here = done(engine, "image", "inspect", "--format", "{{.Os}}/{{.Architecture}}", "meant:1").strip()
    for program in (ours.WHARFIE, docker.docker_cli()):
        command = [program, "-H", engine.host, *words, "--platform"]
        refused = subprocess.run(
            [*command, "linux/s390x", "meant:1"], capture_output=True, text=True, check=False
        )
        assert refused.returncode == 1
        assert "does not provide the specified platform (linux/s390x)" in refused.stderr
        assert done(engine, "images", "-q", "meant:1")
        subprocess.run([*command, here, "meant:1"], capture_output=True, check=True)
        done(engine, "tag", "busybox", "meant:1")
    done(engine, "rmi", "meant:1")


def test_images_are_shown_as_a_tree(engine: ours.Engine) -> None:
    done(engine, "tag", "busybox", "tree:1")
    shown = done(engine, "images", "--tree", "tree")
    theirs = by_docker(engine, "images", "--tree", "tree")
    words = [line.split() for line in shown.splitlines() if line]
    # theirs has colours, and other widths
    assert words == [
        line.split() for line in re.sub("\x1b\\[[0-9;]*m", "", theirs).splitlines() if line.strip()
    ]
    assert engine.cli("images", "--tree", "-q").returncode == 1
    done(engine, "rmi", "tree:1")


def test_a_blob_is_mounted_from_another_repository(engine: ours.Engine, server: str) -> None:
    done(engine, "tag", "busybox", f"{server}/mount/one:1")
    done(engine, "push", f"{server}/mount/one:1")
    done(engine, "tag", "busybox", f"{server}/mount/two:1")
    said = done(engine, "push", f"{server}/mount/two:1")
    assert ": Mounted from " in said
    assert ": Pushed" not in said


def test_login_keeps_what_the_registry_accepts(engine: ours.Engine, tmp_path: Path, settings: Path) -> None:
    (tmp_path / "htpasswd").write_text(registries.htpasswd("user", "pass"))
    extra = f"auth:\n  htpasswd: {{realm: test, path: {tmp_path}/htpasswd}}\n"
    with registries.registry(tmp_path, extra) as address:
        name = f"{address}/private/image:1"
        done(engine, "tag", "busybox", name)
        refused = engine.cli("push", name)
        assert refused.returncode == 1
        assert refused.stderr == "no basic auth credentials\n"
        wrong = engine.cli("login", "-u", "user", "--password-stdin", address, stdin="wrong")
        assert wrong.returncode == 1
        assert "unauthorized" in wrong.stderr
        assert not settings.exists()

        assert done(engine, "login", "-u", "user", "--password-stdin", address, stdin="pass\n").endswith(
            "Login Succeeded\n"
        )
        file = settings / "config.json"
        assert file.stat().st_mode & 0o777 == 0o600
        assert list(json.loads(file.read_text())["auths"]) == [address]
        done(engine, "push", name)
        by_docker(engine, "pull", name)
        by_docker(engine, "login", "-u", "user", "-p", "pass", address)
        by_docker(engine, "push", name)

        assert done(engine, "logout", address) == f"Removing login credentials for {address}\n"
        assert json.loads(file.read_text())["auths"] == {}
        assert engine.cli("push", name).returncode == 1


def test_a_credential_helper_is_asked(
    engine: ours.Engine, tmp_path: Path, settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper = tmp_path / "bin" / "docker-credential-test"
    helper.parent.mkdir()
    helper.write_text(
        f"#!/bin/sh\nfile={tmp_path}/secret\ncase $1 in\nstore) cat >$file ;;\n"
        "get) cat $file 2>/dev/null || { echo 'credentials not found in native keychain'; exit 1; } ;;\n"
        "erase) rm -f $file ;;\nesac\n"
    )
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{helper.parent}:{os.environ['PATH']}")
    settings.mkdir()
    (settings / "config.json").write_text('{"credsStore": "test", "detachKeys": "ctrl-x"}')
    (tmp_path / "htpasswd").write_text(registries.htpasswd("user", "pass"))
    extra = f"auth:\n  htpasswd: {{realm: test, path: {tmp_path}/htpasswd}}\n"
    with registries.registry(tmp_path, extra) as address:
        name = f"{address}/helped/image:1"
        done(engine, "tag", "busybox", name)
        assert engine.cli("push", name).returncode == 1
        done(engine, "login", "-u", "user", "--password-stdin", address, stdin="pass")
        assert json.loads((settings / "config.json").read_text()) == {
            "credsStore": "test", "detachKeys": "ctrl-x", "auths": {address: {}},
        }  # fmt: skip
        assert json.loads((tmp_path / "secret").read_text())["Secret"] == "pass"
        done(engine, "push", name)
        by_docker(engine, "push", name)
        done(engine, "logout", address)
        assert not (tmp_path / "secret").exists()


def test_a_list_of_manifests_is_made_annotated_and_pushed(
    engine: ours.Engine, server: str, settings: Path
) -> None:
    for name in ("one", "two"):
        done(engine, "tag", "busybox", f"{server}/lists/{name}:1")
        done(engine, "push", f"{server}/lists/{name}:1")
    target, members = f"{server}/lists/all:1", [f"{server}/lists/one:1", f"{server}/lists/two:1"]
    assert done(engine, "manifest", "create", target, *members) == f"Created manifest list {target}\n"
    assert engine.cli("manifest", "create", target, *members).stderr.startswith("refusing to amend")
    done(engine, "manifest", "annotate", "--arch", "arm64", "--variant", "v8", target, members[1])

    local = json.loads(done(engine, "manifest", "inspect", target))
    digest = done(engine, "manifest", "push", "--purge", target).strip()

    pushed = json.loads(done(engine, "manifest", "inspect", target))
    assert pushed == local
    assert pushed["mediaType"] == "application/vnd.docker.distribution.manifest.list.v2+json"
    assert [entry["platform"] for entry in pushed["manifests"]] == [
        {"architecture": "amd64", "os": "linux"}, {"architecture": "arm64", "os": "linux", "variant": "v8"},
    ]  # fmt: skip
    assert json.loads(by_docker(engine, "manifest", "inspect", "--insecure", target)) == pushed
    verbose = json.loads(done(engine, "manifest", "inspect", "-v", target))
    theirs = json.loads(by_docker(engine, "manifest", "inspect", "-v", "--insecure", target))
    assert [one["Descriptor"] for one in verbose] == [one["Descriptor"] for one in theirs]
    assert [one["SchemaV2Manifest"] for one in verbose] == [one["SchemaV2Manifest"] for one in theirs]
    assert f"Digest: {digest}" in done(engine, "pull", "--platform", "linux/amd64", target)
    assert not (settings / "manifests" / target.replace(":", "-").replace("/", "_")).exists()


def test_what_makes_no_sense_is_refused(engine: ours.Engine, server: str, settings: Path) -> None:
    for words, sentence in (
        (("push", f"{server}/a@sha256:{'0' * 64}"), "cannot push a digest reference"),
        (("push", "-a", f"{server}/a:1"), "tag can't be used with --all-tags/-a"),
        (("login", "--password-stdin"), "the --password-stdin option requires --username to be set"),
        (("login", "-u", "me", server), "Error: Cannot perform an interactive login from a non TTY device"),
        (("manifest", "rm", "nothing"), "No such manifest: docker.io/library/nothing:latest"),
        (("manifest", "annotate", "no", "x"), "manifest for image x does not exist in no"),
        (("manifest", "inspect", f"{server}/no/such"), f"no such manifest: {server}/no/such:latest"),
        (("search", "--limit", "0", "x"), "limit 0 is outside the range of [1, 100]"),
        (("search", "-f", "colour=red", "x"), "invalid filter 'colour'"),
    ):
        failed = engine.cli(*words)
        said = failed.stderr.strip().removeprefix("Error response from daemon: ")
        assert (failed.returncode, said) == (1, sentence), words


async def test_the_memory_a_pull_takes_does_not_depend_on_the_layer(tmp_path: Path, server: str) -> None:
    name = f"{server}/large/layer:1"
    large = registries.layer({f"f{at}": os.urandom(1 << 20) * 64 for at in range(4)})
    await registries.push(registries.layout(tmp_path / "layout", [large]), name)
    with ours.engine(tmp_path / "engine", bridge="whmem") as fresh:
        Path(f"/proc/{fresh.pid}/clear_refs").write_text("5")  # the peak begins anew, proc(5)
        done(fresh, "pull", "-q", name)
        lines = Path(f"/proc/{fresh.pid}/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    assert peak < 150 * 1024


def test_both_command_lines_search(engine: ours.Engine) -> None:
    with registries.search_index() as index:
        term = f"{index}/tool"
        for words in ([], ["--no-trunc"], ["--limit", "3"], ["--format", "{{.Name}} {{.StarCount}}"],
                      ["--filter", "stars=8"]):  # fmt: skip
            ours_said = done(engine, "search", *words, term)
            assert ours_said == by_docker(engine, "search", *words, term)
            assert ("me/tool" in ours_said) is (words[:1] != ["--filter"])
