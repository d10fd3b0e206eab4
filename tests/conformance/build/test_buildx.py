"""``docker build`` as everybody has it: with the buildx plugin, which speaks BuildKit's protocol."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import ours
from tests.conformance.build.buildx import Site, site, steps
from tests.conformance.registry.registries import htpasswd, registry
from tests.peers import builds, docker, sources
from tests.peers.record_builds import RECORDING, answer

RECORDED: dict[str, Any] = json.loads(RECORDING.read_text())["cases"]
CASES = {case.name: case for case in builds.cases()}
TELLING = [
    "add-02", "arg-03", "copy-01", "copy-05", "copy-09", "env-04", "env-07", "ignore-02", "ignore-05",
    "run-05", "stages-02", "stages-05",
]  # fmt: skip
ENDLESS = "echo begun; while true; do sleep 4242; done"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("buildx")) as found:
        yield found


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with sources.served(tmp_path_factory.mktemp("sources"), builds.STAMP) as found:
        yield found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with registry(tmp_path_factory.mktemp("registry")) as found:
        yield found


@pytest.fixture(scope="module")
def base(here: Site) -> dict[str, Any]:
    return builds.outcome(saved(here, "busybox"))["whole"]


def saved(here: Site, name: str) -> bytes:
    return subprocess.run(
        [ours.WHARFIE, "-H", here.engine.host, "save", name], capture_output=True, timeout=60, check=True
    ).stdout


@pytest.mark.parametrize("name", TELLING)
def test_the_image_is_the_one_that_docker_makes(
    here: Site, base: dict[str, Any], addresses: dict[str, str], tmp_path: Path, name: str
) -> None:
    case, theirs = CASES[name], RECORDED[name]
    builds.write_context(case, tmp_path / "context", addresses)
    arguments = [sources.put_in(word, addresses) for word in case.arguments]
    done = subprocess.run(
        [docker.docker_cli(), "build", "-t", "case", *arguments, str(tmp_path / "context")],
        env=here.environment, capture_output=True, timeout=60,
    )  # fmt: skip
    mine = answer(done, lambda: saved(here, "case"), base)
    assert {key: mine[key] for key in theirs} == theirs, done.stderr.decode()


def test_vertexes_have_buildkits_names_and_the_second_build_is_cached(here: Site, tmp_path: Path) -> None:
    context = here.context(
        "plain",
        "FROM busybox AS one\nARG X=1\nCOPY . /src\nRUN echo hello; echo err >&2\n\n"
        "FROM one\nLABEL a=b\nRUN cat /src/f\nWORKDIR /w\nCMD cat /src/f",
        f="file\n",
    )
    meta, iid = tmp_path / "meta.json", tmp_path / "iid"
    words = ["-t", "plain:1", "-t", "plain:2", "--label", "x=y", str(context)]
    text = here.build("--metadata-file", str(meta), "--iidfile", str(iid), *words)
    names = [
        "[internal] load build definition from Dockerfile",
        "[internal] load .dockerignore",
        "[internal] load metadata for docker.io/library/busybox:latest",
        "[one 1/3] FROM docker.io/library/busybox:latest",
        "[internal] load build context",
        "[one 2/3] COPY . /src",
        "[one 3/3] RUN echo hello; echo err >&2",
        "[stage-1 1/2] RUN cat /src/f",
        "[stage-1 2/2] WORKDIR /w",
        "exporting to image",
    ]
    found = steps(text)
    # which of them is told first is up to chance
    assert {name for name in found if not name.startswith("building with")} == set(names)
    assert {found[name] for name in names} == {"DONE"}
    assert "naming to docker.io/library/plain:1 done" in text
    told = json.loads(meta.read_text())
    identifier = iid.read_text()
    assert told["containerimage.config.digest"] == told["containerimage.digest"] == identifier
    assert told["image.name"] == "docker.io/library/plain:1,docker.io/library/plain:2"
    image = json.loads(here.docker("image", "inspect", "plain:2").stdout)[0]
    assert (image["Id"], image["Config"]["Labels"]) == (identifier, {"a": "b", "x": "y"})
    assert here.output_of("plain:1") == "file\n"

    again = steps(here.build(*words))
    assert {name: end for name, end in again.items() if end == "CACHED"} == dict.fromkeys(
        names[5:9], "CACHED"
    )


def test_only_changed_files_are_sent_again(here: Site) -> None:
    context = here.context("sent", "FROM busybox\nCOPY . /src", a="a" * 100_000, b="b\n")

    def sent() -> int:
        text = here.build(str(context))
        [line] = [line for line in text.splitlines() if "transferring context" in line and "done" in line][
            -1:
        ]
        word = line.split()[3]
        return int(float(word.rstrip("kMB")) * (1000 if "kB" in word else 1))

    assert sent() > 100_000
    assert sent() < 1000
    (context / "b").write_text("other\n")
    assert sent() < 1000
    assert here.docker(
        "run", "--rm", here.docker("build", "-q", str(context)).stdout.strip(), "cat", "/src/b"
    )


def test_what_no_instruction_names_is_not_sent(here: Site) -> None:
    context = here.context(
        "named", "FROM busybox\nCOPY small /\nRUN ls / > /l", small="x", large="l" * 100_000
    )
    text = here.build(str(context))
    assert "100.0" not in text
    assert "kB" not in text, "the large file was sent"
    none = here.context("nothing", "FROM busybox\nRUN true", large="l")
    assert "load build context" not in here.build(str(none))


def test_secrets_agents_and_caches_are_mounted(here: Site, tmp_path: Path) -> None:
    context = here.context(
        "mounts",
        "FROM busybox\n"
        "RUN --mount=type=secret,id=tok echo file $(wc -c < /run/secrets/tok)\n"
        "RUN --mount=type=secret,id=tok,env=TOKEN echo variable ${#TOKEN}\n"
        "RUN --mount=type=ssh,uid=7 stat -c 'socket %F %a %u' $SSH_AUTH_SOCK\n"
        "RUN --mount=type=cache,target=/c echo x >> /c/f; wc -l < /c/f",
    )
    (tmp_path / "tok").write_text("very secret")
    agent = subprocess.Popen(
        ["ssh-agent", "-D", "-a", str(tmp_path / "agent")], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert agent.stdout is not None
        agent.stdout.readline()
        words = ["--secret", f"id=tok,src={tmp_path}/tok", "--ssh", f"default={tmp_path}/agent", str(context)]
        text = here.build("-t", "mounts", *words)
        for line in (" file 11\n", " variable 11\n", " socket socket 600 7\n", " 1\n"):
            assert line in text
        assert " 2\n" in here.build("--no-cache", *words)
    finally:
        agent.terminate()
        agent.wait()
    assert b"very secret" not in saved(here, "mounts")
    missing = here.build("--no-cache", str(context), code=1)
    assert "/run/secrets/tok" in missing


def test_a_required_secret_that_is_missing_is_told(here: Site) -> None:
    context = here.context("required", "FROM busybox\nRUN --mount=type=secret,id=tok,required=true true")
    assert "secret tok: not found" in here.build(str(context), code=1)


def test_files_and_archives_go_to_the_client(here: Site, tmp_path: Path) -> None:
    context = here.context(
        "out",
        "FROM busybox AS made\nRUN mkdir -p /o/d && echo hi > /o/d/f && ln -s f /o/d/l && ln /o/d/f /o/h"
        " && chmod 750 /o/d && dd if=/dev/zero of=/o/big bs=1000 count=300\n"
        "FROM scratch\nCOPY --from=made /o /",
    )
    text = here.build("-o", str(tmp_path / "out"), str(context))
    assert steps(text)["exporting to client directory"] == "DONE"
    out = tmp_path / "out"
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*")) == ["big", "d", "d/f", "d/l", "h"]
    assert (out / "d/f").read_text() == "hi\n"
    assert (os.readlink(out / "d/l"), (out / "big").stat().st_size) == ("f", 300_000)
    assert (out / "d").stat().st_mode & 0o777 == 0o750

    here.build("-o", f"type=tar,dest={tmp_path}/o.tar", str(context))
    with tarfile.open(tmp_path / "o.tar") as archive:
        assert sorted(archive.getnames()) == ["big", "d", "d/f", "d/l", "h"]
    images = here.docker("images", "-aq").stdout.split()
    here.build("-o", str(tmp_path / "again"), "--no-cache", str(context))
    assert here.docker("images", "-aq").stdout.split() == images, "no image is left by an output of files"


ERRORS = [
    ("FROM busybox\nRUNN x", ["Dockerfile:2", "   2 | >>> RUNN x",
     "failed to solve: dockerfile parse error on line 2: unknown instruction: RUNN (did you mean RUN?)"]),
    ("FROM busybox\nRUN echo a; \\\n   exit 3\nENV x=y", ["   2 | >>> RUN echo a; \\", "   3 | >>>    exit 3",
     'failed to solve: process "/bin/sh -c echo a;    exit 3" did not complete successfully: exit code: 3']),
    ("FROM busybox\nCOPY nofile /x", ["   2 | >>> COPY nofile /x", "nofile"]),
    ("FROM busybox\nCOPY --from=nowhere:1 /x /", ["   2 | >>> COPY --from", "nowhere:1"]),
    ("", ["cannot be empty"]),
    ("FROM busybox\nADD --checksum=x a /", ["   2 | >>> ADD"]),
]  # fmt: skip


@pytest.mark.parametrize(("dockerfile", "lines"), ERRORS)
def test_errors_show_the_line(here: Site, dockerfile: str, lines: list[str]) -> None:
    context = here.context("wrong", **{"Dockerfile": dockerfile})
    text = here.build(str(context), code=1)
    for line in lines:
        assert line in text
    assert "rpc error" not in text


def test_options_that_are_wrong_are_refused_in_a_sentence(here: Site) -> None:
    context = str(here.context("simple", "FROM busybox\nRUN true"))
    for words, message in [
        (["--target", "none"], 'target stage "none" could not be found'),
        (["-f", "none"], "none: no such file or directory"),
        (["--build-arg", "SOURCE_DATE_EPOCH=x"], "SOURCE_DATE_EPOCH"),
    ]:
        assert message in here.build(*words, context, code=1)


def test_lint_and_unused_arguments_are_warnings(here: Site) -> None:
    context = here.context("lint", "FROM busybox as Base\nMAINTAINER me")
    text = here.build("--build-arg", "UNUSED=1", str(context))
    assert "StageNameCasing: Stage name 'Base' should be lowercase (line 1)" in text
    assert "One or more build-args [UNUSED] were not consumed" in text


def test_options_reach_the_builder(here: Site) -> None:
    context = here.context(
        "options",
        "FROM busybox\nARG V=0\nRUN --network=none echo V=$V\nRUN ulimit -n; grep -c h.example /etc/hosts;"
        " df -k /dev/shm | tail -1; ls /sys/class/net",
    )
    text = here.build(
        "--build-arg", "V=7", "--add-host", "h.example:1.2.3.4", "--network", "none", "--shm-size", "32m",
        "--ulimit", "nofile=500:600", "--no-cache", str(context),
    )  # fmt: skip
    lines = [line.split(" ", 2)[-1] for line in text.splitlines() if line.startswith("#")]
    assert "V=7" in lines
    assert "500" in lines
    assert "1" in lines
    assert any("32768" in line for line in lines), "the size of /dev/shm"
    assert "lo" in lines
    assert "eth0" not in lines


def test_dockerfiles_and_contexts_come_from_anywhere(here: Site, tmp_path: Path) -> None:
    context = here.context("sources", f="file", __dockerignore="*.log\n!keep.log", a__log="", keep__log="")
    (context / "other").write_text("FROM busybox\nCOPY . /ctx\nCOPY --from=extra g /g\nCMD ls /ctx /g")
    extra = here.context("extra", g="more")
    words = ["--build-context", f"extra={extra}"]
    here.build("-t", "named", "-f", str(context / "other"), *words, str(context))
    assert here.output_of("named").split() == ["/g", "/ctx:", "f", "keep.log", "other"]
    here.build("-t", "stdin", "-f", "-", str(context), stdin=b"FROM busybox\nCOPY f /\nCMD cat /f")
    assert here.output_of("stdin") == "file"
    here.build("-t", "alone", "-", stdin=b"FROM busybox\nRUN <<E\necho one > /o\nE\nCMD cat /o")
    assert here.output_of("alone") == "one\n"
    packed = subprocess.run(["tar", "c", "-C", str(context), "."], capture_output=True, check=True).stdout
    here.build("-t", "packed", "-f", "other", *words, "-", stdin=packed)
    assert here.output_of("packed").split() == ["/g", "/ctx:", "f", "keep.log", "other"]
    here.build("-t", "image", "--build-context", "busybox=docker-image://named", "-", stdin=b"FROM busybox\n")
    assert here.output_of("image", "cat", "/g") == "more"


def test_targets_of_a_bake_file_build_on_each_other(here: Site, tmp_path: Path) -> None:
    bake = here.context("bake", src="source\n")
    (bake / "docker-bake.json").write_text(
        json.dumps(
            {
                "group": {"default": {"targets": ["base", "app"]}},
                "target": {
                    "base": {"dockerfile-inline": "FROM busybox\nRUN echo base > /b\nENV from=base"},
                    "app": {
                        "contexts": {"base": "target:base"},
                        "dockerfile-inline": "FROM base\nRUN cat /b >> /a\nCOPY src /\nCMD cat /a /b",
                        "tags": ["app:1"],
                    },
                },
            }
        )
    )
    meta = tmp_path / "bake.json"
    done = subprocess.run(
        [docker.docker_cli(), "buildx", "bake", "--metadata-file", str(meta)],
        env=here.environment, cwd=bake, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "[app 2/3] RUN cat /b >> /a" in done.stderr
    assert here.output_of("app:1") == "base\nbase\n"
    told = json.loads(meta.read_text())
    assert told["app"]["image.name"] == "docker.io/library/app:1"
    assert told["base"]["containerimage.digest"].startswith("sha256:")


def test_images_are_pushed_and_their_cache_is_used(here: Site, server: str) -> None:
    ref = f"{server}/buildx/app:1"
    context = here.context("push", "FROM busybox\nRUN cat /proc/sys/kernel/random/uuid > /id\nCMD cat /id")
    text = here.build("--push", "-t", ref, "--cache-to", "type=inline", str(context))
    assert steps(text)[f"pushing {ref} with docker"] == "DONE"
    identity = here.output_of(ref)
    here.docker("rmi", ref)
    here.docker("buildx", "prune", "-af")
    text = here.build("-t", "again", "--cache-from", f"type=registry,ref={ref}", str(context))
    assert steps(text)["[2/2] RUN cat /proc/sys/kernel/random/uuid > /id"] == "CACHED"
    assert here.output_of("again") == identity
    gone = here.build("--cache-from", f"type=registry,ref={server}/none", str(context))
    assert "failed to import the cache" in gone


def test_a_registry_is_given_the_clients_credentials(here: Site, tmp_path: Path) -> None:
    (tmp_path / "htpasswd").write_text(htpasswd("me", "secret"))
    locked = f"auth:\n  htpasswd: {{realm: test, path: {tmp_path}/htpasswd}}\n"
    with registry(tmp_path, locked) as address:
        private = f"{address}/private/base"
        refused = here.build("-", stdin=f"FROM {private}\n".encode(), code=1)
        assert f"[internal] load metadata for {private}:latest" in refused
        here.docker("login", "-u", "me", "--password-stdin", address, stdin=b"secret")
        here.build("--push", "-t", private, "-", stdin=b"FROM busybox\nCMD echo private\n")
        here.docker("rmi", private)
        here.build("-t", "opened", "-", stdin=f"FROM {private}\n".encode())
        assert here.output_of("opened") == "private\n"


def test_images_go_into_archives(here: Site, tmp_path: Path) -> None:
    context = here.context("archives", "FROM busybox\nRUN echo packed > /p\nCMD cat /p")
    meta = tmp_path / "meta.json"
    to_oci = ["-o", f"type=oci,dest={tmp_path}/oci.tar", "--metadata-file", str(meta)]
    text = here.build(*to_oci, "-t", "boxed:oci", str(context))
    assert steps(text)["exporting to oci image format"] == "DONE"
    with tarfile.open(tmp_path / "oci.tar") as archive:
        index = json.load(archive.extractfile("index.json"))  # type: ignore[arg-type]
    [entry] = index["manifests"]
    told = json.loads(meta.read_text())
    assert told["containerimage.descriptor"]["digest"] == told["containerimage.digest"] == entry["digest"]
    here.build("-o", f"type=docker,dest={tmp_path}/docker.tar", "-t", "boxed:docker", str(context))
    assert not here.docker("images", "-q", "boxed").stdout, "an archive leaves no image"
    assert "Loaded image: boxed:docker" in here.docker("load", "-i", f"{tmp_path}/docker.tar").stdout
    assert here.output_of("boxed:docker") == "packed\n"


def test_caches_go_elsewhere_and_come_back(here: Site, server: str, tmp_path: Path) -> None:
    context = str(
        here.context("caches", "FROM busybox\nRUN cat /proc/sys/kernel/random/uuid > /id\nCMD cat /id")
    )
    step = "[2/2] RUN cat /proc/sys/kernel/random/uuid > /id"
    places = [
        (f"type=local,dest={tmp_path}/cache,mode=max", f"type=local,src={tmp_path}/cache"),
        (f"type=registry,ref={server}/caches,mode=max", f"type=registry,ref={server}/caches"),
    ]
    for to, back in places:
        here.docker("buildx", "prune", "-af")
        first = here.build("-t", "first", "--no-cache", "--cache-to", to, context)
        assert any("exporting cache to" in name for name in steps(first))
        identity = here.output_of("first")
        here.docker("rmi", "-f", "first")
        here.docker("buildx", "prune", "-af")
        assert steps(here.build("-t", "first", "--cache-from", back, context))[step] == "CACHED"
        assert here.output_of("first") == identity


def test_several_platforms_go_to_files(here: Site, tmp_path: Path) -> None:
    dockerfile = "FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /"
    context = str(here.context("platforms", dockerfile, amd64="a", arm64="b"))
    words = ["--platform", "linux/amd64,linux/arm64", context]
    text = here.build("-o", str(tmp_path / "out"), *words)
    assert "[linux/arm64 1/1] COPY $TARGETARCH /" in steps(text)
    out = tmp_path / "out"
    files = [str(path.relative_to(out)) for path in sorted(out.rglob("*")) if path.is_file()]
    assert files == ["linux_amd64/amd64", "linux_arm64/arm64"]
    here.build("-o", f"type=oci,dest={tmp_path}/oci.tar", *words)
    with tarfile.open(tmp_path / "oci.tar") as archive:
        index = json.load(archive.extractfile("index.json"))  # type: ignore[arg-type]
    assert [one["platform"]["architecture"] for one in index["manifests"]] == ["amd64", "arm64"]
    assert "several platforms" in here.build("-t", "both", *words, code=1)


def test_questions_about_a_dockerfile_are_answered(here: Site) -> None:
    context = str(
        here.context(
            "questions",
            "# base is where it begins\nFROM busybox AS base\n# WHO is greeted\nARG WHO=you\n"
            "RUN --mount=type=secret,id=tok,required=true true\nFROM base AS Last\nMAINTAINER me",
        )
    )

    def asked(question: str) -> str:
        words = ["buildx", "build", f"--print={question}", "--build-arg", "WHO=me", context]
        return here.docker(*words, BUILDX_EXPERIMENTAL="1").stdout

    assert [line.split() for line in asked("targets").splitlines()] == [
        ["TARGET", "DESCRIPTION"], ["base", "is", "where", "it", "begins"], ["Last", "(default)"],
    ]  # fmt: skip
    outline = [line.split() for line in asked("outline").splitlines()]
    assert ["WHO", "me", "is", "greeted"] in outline
    assert ["tok", "true"] in outline
    assert "MaintainerDeprecated - https://docs.docker.com/go/dockerfile/rule/" in asked("lint")
    assert "frontend.lint" not in asked("subrequests.describe")
    assert "Lint a Dockerfile" in asked("subrequests.describe")


def test_the_hosts_address_has_a_name(here: Site) -> None:
    context = str(here.context("gateway", "FROM busybox\nRUN grep host.docker.internal /etc/hosts"))
    text = here.build("--add-host", "host.docker.internal:host-gateway", context)
    address = "{{(index .IPAM.Config 0).Gateway}}"
    gateway = here.docker("network", "inspect", "-f", address, "bridge").stdout.strip()
    assert f"{gateway}\thost.docker.internal" in text


def test_compose_builds_by_it(here: Site, tmp_path: Path) -> None:
    place = here.context("compose", "FROM busybox\nARG word\nRUN echo $word > /w\nCMD cat /w")
    (place / "compose.yaml").write_text(
        "services:\n  a:\n    build: {context: ., args: {word: composed}}\n    image: composed\n"
    )
    done = here.docker("compose", "-f", str(place / "compose.yaml"), "build")
    assert "[a 2/2] RUN echo $word > /w" in done.stdout + done.stderr
    assert here.output_of("composed") == "composed\n"


def test_the_builder_is_looked_at_and_pruned(here: Site) -> None:
    assert "running" in here.docker("buildx", "ls").stdout
    assert "Driver: docker" in " ".join(here.docker("buildx", "inspect").stdout.split())
    context = here.context("du", "FROM busybox\nRUN --mount=type=cache,target=/du echo to be pruned > /p")
    here.build(str(context))
    verbose = here.docker("buildx", "du", "--verbose").stdout
    assert "Description:\tRUN /bin/sh -c echo to be pruned > /p # buildkit" in verbose
    mounts = here.docker("buildx", "du", "--verbose", "--filter", "type=exec.cachemount").stdout
    assert "cached mount /du" in mounts
    assert "to be pruned" not in mounts
    pruned = here.docker("buildx", "prune", "-f", "--filter", "type=exec.cachemount", "--verbose").stdout
    assert "cached mount /du" in pruned
    assert "cached mount /du" not in here.docker("buildx", "du", "--verbose").stdout
    here.docker("buildx", "prune", "-af")
    assert "to be pruned" not in here.docker("buildx", "du", "--verbose").stdout


def begun(here: Site, name: str) -> tuple[subprocess.Popen[bytes], int]:
    """A build whose step runs; the client, and a descriptor of the step's process."""
    context = here.context(name, f"FROM busybox\nRUN {ENDLESS}")
    ours.until(lambda: not _endless(), "an earlier build goes on")
    client = subprocess.Popen(
        [docker.docker_cli(), "build", "--no-cache", str(context)],
        env=here.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert client.stderr is not None
    for line in client.stderr:
        if line.strip().endswith(b" begun"):
            break
    # a shell about to become sleep looks like its parent for a moment
    found = _endless()
    (pid,) = [pid for pid in found if ours.parent(pid) not in {0, *found}]
    return client, os.pidfd_open(pid)


def _endless() -> list[int]:
    return [pid for pid, words in ours.processes().items() if ENDLESS in words]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_client_that_ends_takes_its_build_with_it(here: Site, how: signal.Signals) -> None:
    client, step = begun(here, "endless")
    try:
        client.send_signal(how)
        assert select.select([step], [], [], 60)[0], "the step's process goes on"
    finally:
        os.close(step)
        client.communicate(timeout=60)
    assert client.returncode != 0
    assert steps(here.build("-", stdin=b"FROM busybox\nRUN true\n"))["[2/2] RUN true"] in ("DONE", "CACHED")


def test_builds_go_on_side_by_side(here: Site) -> None:
    contexts = [
        here.context(f"side-{number}", f"FROM busybox\nCOPY f /\nRUN cat /f; echo {number}", f=f"{number}")
        for number in range(4)
    ]
    clients = [
        subprocess.Popen(
            [docker.docker_cli(), "build", "-q", str(context)],
            env=here.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for context in contexts
    ]  # fmt: skip
    outputs = [client.communicate(timeout=60) for client in clients]
    assert [client.returncode for client in clients] == [0] * 4, outputs
    assert len({out for out, _ in outputs}) == 4


def test_nothing_is_left_of_all_these_builds(here: Site) -> None:
    state = here.engine.state
    deadline = time.monotonic() + 30
    while left := [path for place in ("data/tmp", "exec/containers") for path in (state / place).glob("*")]:
        assert time.monotonic() < deadline, left
        os.sched_yield()
    mounts = [line for line in Path("/proc/self/mounts").read_text().splitlines() if f"{state}/data" in line]
    assert mounts == []
    assert here.docker("ps", "-aq").stdout == ""
    assert "Traceback" not in (state / "daemon.out").read_text()
