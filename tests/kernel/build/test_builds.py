"""Builds from the outside: contexts, outputs, mounts, secrets, errors, clients."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sqlite3
import stat
import subprocess
import tarfile
from contextlib import suppress
from pathlib import Path

import pytest

from tests import ours
from tests.kernel.build.conftest import Yard
from tests.peers.docker import docker_cli

SECRET = "correct-horse-battery-staple"

FAILURES = [
    ("FROM busybox\nRUN exit 7", 7, "returned a non-zero code: 7", 2),
    ("FROM busybox\nRUN nosuchcommand", 127, "returned a non-zero code: 127", 2),
    ('FROM busybox\nRUN ["/nosuch"]', 1, "no such file or directory", 2),
    ("FROM busybox\nCOPY nofile /", 1, "file not found in build context", 2),
    ("FROM busybox\nCOPY *.none /", 1, "no source files were specified", 2),
    ("FROM busybox\nCOPY --from=nostage /x /", 1, "nostage", 2),
    ("FROM busybox\nCOPY --from=9 /x /", 1, "invalid stage index", 2),
    ("FROM busybox AS a\nCOPY --from=a /x /", 1, "circular dependency", 2),
    ("FROM busybox\nCOPY --chown=nobodyhere Dockerfile /", 1, "nobodyhere", 2),
    ("FROM busybox\nCOPY Dockerfile /etc/passwd/x", 1, "/etc/passwd", 2),
    ("FROM busybox\nCOPY --chown=4294967295 Dockerfile /", 1, "must be in range 0-", 2),
    ("FROM busybox\nCOPY --chmod=77777 Dockerfile /", 1, "invalid chmod parameter: '77777'", 2),
    ("FROM busybox\nCOPY --from=" + "1" * 5000 + " /x /", 1, "invalid stage index", 2),
    ("FROM busybox\nRUN --mount=type=cache,target=/c,from=busybox,source=/no true", 1, '"/no": not found', 2),
    ("FROM busybox\nRUN --mount=type=bind,target=/ ls", 1, 'invalid mount target "/"', 2),
    ("FROM busybox\nUSER nosuchuser\nRUN id", 1, "unable to find user nosuchuser", 3),
    ("FROM busybox\nRUN --mount=type=secret,id=s,required cat /run/secrets/s", 1, "secret s: not found", 2),
    ("FROM busybox\nRUN --security=insecure id", 1, "security.insecure is not allowed", 2),
    ("FROM busybox\nRUN --network=host id", 1, "network.host is not allowed", 2),
    ("FROM busybox\nFRM x", 1, "unknown instruction: FRM (did you mean FROM?)", 2),
    ("FROM busybox\nADD http://127.0.0.1:1/x /", 1, "failed to fetch", 2),
]


@pytest.mark.parametrize(("text", "code", "message", "line"), FAILURES)
def test_what_goes_wrong_is_told_with_its_line_and_leaves_nothing(
    yard: Yard, text: str, code: int, message: str, line: int
) -> None:
    done = yard.build(dockerfile=text)
    assert (done.code, message in done.error) == (code, True), done.text
    assert f"Dockerfile:{line}" in done.text
    assert f">>> {text.splitlines()[line - 1]}" in done.text


def test_a_foreign_platform_needs_an_emulator_for_what_it_runs_only(yard: Yard) -> None:
    copied = yard.build("--platform", "linux/s390x", dockerfile="FROM scratch\nCOPY Dockerfile /")
    assert copied.code == 0, copied.text
    run = yard.build("--platform", "linux/s390x", dockerfile='FROM scratch\nCOPY Dockerfile /\nRUN ["/x"]')
    assert run.code == 1
    assert "this machine cannot run programs for linux/s390x" in run.error


def test_a_target_that_is_not_there_is_told(yard: Yard) -> None:
    done = yard.build("--target", "none", dockerfile="FROM busybox")
    assert done.code == 1
    assert 'target stage "none" could not be found' in done.error


def test_stages_that_nobody_needs_are_never_built(yard: Yard) -> None:
    done = yard.build(dockerfile="FROM busybox AS unused\nRUN false\nFROM busybox\nRUN true")
    assert done.code == 0
    assert len(done.steps) == 2


MEET = (
    "RUN --mount=type=cache,target=/meet touch /meet/{0}; n=0; "
    "until [ -e /meet/{1} ]; do n=$((n+1)); [ $n -lt 200 ] || exit 1; sleep 0.1; done"
)


def test_independent_stages_run_beside_each_other(yard: Yard) -> None:
    first, second = MEET.format("a", "b"), MEET.format("b", "a")
    text = f"FROM busybox AS a\n{first}\nFROM busybox\n{second}\nCOPY --from=a /etc/passwd /x"
    done = yard.build(dockerfile=text)
    assert done.code == 0, done.text


def test_a_secret_is_seen_by_its_step_and_stays_nowhere(yard: Yard) -> None:
    os.environ["WHARFIE_TEST_SECRET"] = SECRET
    try:
        done = yard.build(
            "-t", "secretive", "--secret", "id=k,env=WHARFIE_TEST_SECRET",
            dockerfile=(
                "FROM busybox\n"
                "RUN --mount=type=secret,id=k [ $(cat /run/secrets/k | sha256sum | cut -c1-64) = "
                f"{hashlib.sha256(SECRET.encode()).hexdigest()} ]\n"
                "RUN --mount=type=secret,id=k,target=/deep/er/key,mode=0440,uid=5 ls -ln /deep/er/key\n"
                "RUN --mount=type=secret,id=k,env=KEY [ ${#KEY} = 28 ]\nRUN ls /run /deep 2>&1 || true"
            ),
        )  # fmt: skip
    finally:
        del os.environ["WHARFIE_TEST_SECRET"]
    assert done.code == 0, done.text
    assert "-r--r-----" in done.output
    assert "No such file or directory" in done.output
    assert SECRET not in done.text
    assert SECRET not in yard.engine.cli("history", "--no-trunc", "secretive").stdout
    for path, status in ours.below(yard.engine.state):
        if stat.S_ISREG(status.st_mode):
            with suppress(FileNotFoundError):  # the engine goes on working
                assert SECRET.encode() not in path.read_bytes(), path


def test_secrets_of_stages_beside_each_other_are_apart_and_in_memory(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ONE", "TWO"):
        monkeypatch.setenv(name, name.lower())
    look = "; cat /run/secrets/{0}; grep -c exec/build-secrets/ /proc/self/mountinfo"
    first, second = (
        MEET.format(*meeting).replace("RUN", f"RUN --mount=type=secret,id={name}", 1) + look.format(name)
        for name, meeting in (("one", "cd"), ("two", "dc"))
    )
    done = yard.build(
        "--secret", "id=one,env=ONE", "--secret", "id=two,env=TWO",
        dockerfile=f"FROM busybox AS a\n{first}\nFROM busybox\n{second}\nCOPY --from=a /etc/passwd /x",
    )  # fmt: skip
    assert done.code == 0, done.text
    assert sorted(done.output) == sorted("one1\ntwo1\n")


def test_mount_stubs_are_removed_and_never_through_a_link(yard: Yard) -> None:
    victim = yard.engine.state / "victim"
    victim.mkdir()
    done = yard.build(
        "-t", "stubs",
        dockerfile=(
            "FROM busybox\n"
            f"RUN --mount=type=cache,target=/away/x rm -rf /other; ln -s {victim} /other; echo $?\n"
            "RUN --mount=type=tmpfs,target=/made/by/mount true\n"
            "RUN --mount=type=tmpfs,target=/kept touch /kept/a; mkdir -p /stay && echo 1 > /stay/f\n"
        ),
    )  # fmt: skip
    assert done.code == 0, done.text
    listed = yard.run("stubs", "ls", "/").split()
    assert "other" in listed
    assert "stay" in listed
    assert not {"made", "kept", "away"} & set(listed)
    assert victim.exists()


def test_a_bind_mount_never_leads_out_of_its_tree(yard: Yard) -> None:
    yard.write(files={"real": "inside"})
    (yard.context / "out").symlink_to("/etc")
    (yard.context / "up").symlink_to("../../../../../../etc/passwd")
    done = yard.build(dockerfile="FROM busybox\nRUN --mount=source=up,target=/m cat /m")
    assert done.code == 1
    assert "root:" not in done.output
    copied = yard.build(dockerfile="FROM busybox\nCOPY up /m")
    assert copied.code == 1
    assert "not found" in copied.error


COUNT = (
    "RUN --mount=type=cache,id=count,target=/c,sharing=locked "
    "n=$(cat /c/n 2>/dev/null || echo 0); sleep 0.2; echo $((n+1)) > /c/n"
)


def test_cache_mounts_keep_their_content_and_are_locked_when_asked(yard: Yard) -> None:
    text = (
        f"FROM busybox AS a\n{COUNT}\nFROM busybox AS b\nENV b=1\n{COUNT}\nFROM busybox\n"
        "COPY --from=a /etc/passwd /1\nCOPY --from=b /etc/passwd /2\n"
        "RUN --mount=type=cache,id=count,target=/c cat /c/n"
    )
    done = yard.build("--no-cache", dockerfile=text)
    assert done.code == 0, done.text
    assert done.output.strip().endswith("2")


def test_a_cache_mount_is_locked_however_its_target_is_written(yard: Yard) -> None:
    alone = (
        "RUN --mount=type=cache,target={0},sharing=locked mkdir /own/alone && sleep 0.3 && rmdir /own/alone"
    )
    first, second = alone.format("/own"), alone.format("/own/")
    done = yard.build(
        dockerfile=f"FROM busybox AS a\n{first}\nFROM busybox\n{second}\nCOPY --from=a /etc/passwd /x"
    )
    assert done.code == 0, done.text


def test_a_trigger_takes_files_of_a_stage_that_nothing_else_needs(yard: Yard) -> None:
    base = "FROM busybox\nONBUILD COPY --from=other /made /taken"
    assert yard.build("-t", "trigger", dockerfile=base).code == 0
    below = "FROM busybox AS below\nRUN echo 1 > /made\nFROM below AS other\nRUN echo 2 >> /made\n"
    done = yard.build("-t", "triggered", dockerfile=f"{below}FROM trigger\nRUN cat /taken")
    assert done.code == 0, done.text
    assert done.output == "1\n2\n"


def test_a_trigger_that_wants_its_own_stage_is_an_error(yard: Yard) -> None:
    assert yard.build("-t", "selfish", dockerfile="FROM busybox\nONBUILD COPY --from=0 /a /b").code == 0
    done = yard.build(dockerfile="FROM selfish\nRUN true")
    assert (done.code, done.error) == (1, "invalid from flag value 0: it is not before this stage"), done.text


def test_names_of_one_file_stay_names_of_one_file(yard: Yard) -> None:
    linked = "RUN mkdir -p /d/e && echo 1 > /d/a && ln /d/a /d/b && ln /d/a /d/e/c && echo 2 > /d/z"
    text = f"FROM busybox AS a\n{linked}\nFROM busybox\nRUN mkdir /d && echo old > /d/b\nCOPY --from=a /d /d"
    done = yard.build("-t", "linked", dockerfile=text)
    assert done.code == 0, done.text
    assert yard.run("linked", "stat", "-c", "%h", "/d/a", "/d/b", "/d/e/c", "/d/z").split() == [
        "3",
        "3",
        "3",
        "1",
    ]


def test_a_working_directory_needs_no_user_that_is_known(yard: Yard) -> None:
    done = yard.build(dockerfile="FROM scratch\nUSER app\nWORKDIR /w\nCOPY Dockerfile /w/")
    assert done.code == 0, done.text


def test_a_file_that_is_not_utf8_builds(yard: Yard) -> None:
    text = b'FROM busybox\nLABEL a="J\xfcrgen"\nENV b=\xfc\nRUN echo \xfc > /f\nCOPY <<EOF /g\n\xfc\nEOF\n'
    (yard.context / "Dockerfile").write_bytes(text)
    done = yard.build("-t", "latin")
    assert done.code == 0, done.text
    assert "LABEL a=J\ufffdrgen" in yard.engine.cli("history", "--no-trunc", "latin").stdout
    assert yard.run("latin", "od", "-An", "-tx1", "/g").split() == ["fc", "0a"]


def test_a_working_directory_belongs_to_the_user_of_its_stage(yard: Yard) -> None:
    made = "WORKDIR /before\nUSER 5\nWORKDIR /made/here\nUSER 6:7\nWORKDIR /named\nWORKDIR /made"
    done = yard.build("-t", "owned", dockerfile=f"FROM busybox\n{made}")
    assert done.code == 0, done.text
    places = ("/before", "/made", "/made/here", "/named")
    assert yard.run("owned", "stat", "-c", "%u:%g", *places).split() == ["0:0", "5:5", "5:5", "6:7"]


def test_contexts_come_from_standard_input_and_have_names(yard: Yard, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in (("Dockerfile", b"FROM busybox\nCOPY x /x\n"), ("x", b"from stdin")):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    assert yard.engine.cli("build", "-q", "-t", "stdin", "-", stdin=buffer.getvalue()).returncode == 0
    assert yard.run("stdin", "cat", "/x") == "from stdin"
    (tmp_path / "more").mkdir()
    (tmp_path / "more/y").write_text("named")
    text = "FROM busybox\nCOPY --from=more y /y\nCOPY --from=img /etc/passwd /p"
    done = yard.build(
        "-t", "named", "--build-context", f"more={tmp_path}/more", "--build-context", "img=docker-image://busybox",
        dockerfile=text,
    )  # fmt: skip
    assert done.code == 0, done.text
    assert yard.run("named", "cat", "/y") == "named"


def test_squash_makes_one_layer(yard: Yard) -> None:
    done = yard.build(
        "--squash", "-t", "squashed", dockerfile="FROM busybox\nRUN echo 1 > /a\nRUN rm /a; echo 2 > /b"
    )
    assert done.code == 0, done.text
    found = json.loads(yard.engine.cli("inspect", "squashed").stdout)[0]
    assert len(found["RootFS"]["Layers"]) == 1
    assert yard.run("squashed", "cat", "/b") == "2\n"


def test_git_repositories_are_contexts_and_sources(yard: Yard, tmp_path: Path) -> None:
    done = yard.engine.cli("build", "https://127.0.0.1:1/none.git")
    assert done.returncode == 1
    assert "git" in done.stderr


def test_the_classic_builder_of_docker_builds(yard: Yard) -> None:
    yard.write('FROM busybox\nRUN echo hi && echo err >&2\nCOPY f /f\nCMD ["cat", "/f"]', {"f": "file"})
    environment = {**os.environ, "DOCKER_BUILDKIT": "0", "DOCKER_HOST": yard.engine.host}
    words = [docker_cli(), "build", "-t", "classic", str(yard.context)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "Step 2/4 : RUN echo hi" in done.stdout
    assert "Successfully tagged classic:latest" in done.stdout
    assert yard.run("classic") == "file"
    bad = subprocess.run([docker_cli(), "build", "-"], input="FROM busybox\nRUN exit 3", env=environment,
                         capture_output=True, text=True, timeout=60)  # fmt: skip
    assert bad.returncode == 3
    assert "returned a non-zero code: 3" in bad.stderr
    words = [docker_cli(), "build", "-f", "-", str(yard.context)]
    stdin = subprocess.run(words, input="FROM busybox\nCOPY f /g", env=environment,
                           capture_output=True, text=True, timeout=60)  # fmt: skip
    assert stdin.returncode == 0, stdin.stderr


def test_docker_without_its_plugin_builds_with_the_classic_builder_by_itself(
    yard: Yard, tmp_path: Path
) -> None:
    yard.write("FROM busybox\nRUN echo by itself")
    places = " ".join(f"/usr/{place}/docker" for place in ("libexec", "lib", "local/libexec", "local/lib"))
    hide = f'for d in {places}; do [ ! -d $d ] || mount -t tmpfs none $d; done; exec "$@"'
    docker = [docker_cli(), "--config", str(tmp_path), "-H", yard.engine.host, "build", str(yard.context)]
    environment = {name: value for name, value in os.environ.items() if name != "DOCKER_BUILDKIT"}
    words = ["unshare", "--mount", "sh", "-c", hide, "sh", *docker]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "Step 2/2 : RUN echo by itself" in done.stdout


def test_the_python_sdk_builds(yard: Yard) -> None:
    docker = pytest.importorskip("docker")
    yard.write("FROM busybox\nARG a\nRUN echo $a > /a", {})
    client = docker.DockerClient(base_url=yard.engine.host)
    image, log = client.images.build(path=str(yard.context), tag="sdk:1", buildargs={"a": "value"}, rm=True)
    assert "sdk:1" in image.tags
    assert any("Successfully built" in line.get("stream", "") for line in log)
    with pytest.raises(docker.errors.BuildError, match="non-zero code: 4"):
        client.images.build(fileobj=io.BytesIO(b"FROM busybox\nRUN exit 4\n"))
    client.close()


def test_checks_are_told_and_counted(yard: Yard) -> None:
    yard.write("FROM busybox\nMAINTAINER me\nCMD x")
    done = yard.engine.cli("build", "--check", str(yard.context))
    assert done.returncode == 1
    assert (
        "WARNING: MaintainerDeprecated - https://docs.docker.com/go/dockerfile/rule/maintainer-deprecated/"
        in done.stderr
    )
    assert "Check complete, 2 warnings have been found!" in done.stderr


def test_the_cache_is_rows_and_layers_and_no_secrets(yard: Yard) -> None:
    yard.build(dockerfile="FROM busybox\nRUN echo 1 > /a")
    with sqlite3.connect(f"file:{yard.engine.state}/data/state.db?mode=ro", uri=True) as rows:
        (count,) = rows.execute("SELECT count(*) FROM build_cache").fetchone()
    assert count == 1


def test_a_build_that_is_given_up_is_ended(yard: Yard) -> None:
    yard.write("FROM busybox\nRUN echo begun; sleep 1019")
    words = [ours.WHARFIE, "-H", yard.engine.host, "build", "--progress", "plain", str(yard.context)]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "begun" not in process.stderr.readline().split("RUN")[0]:
            assert process.poll() is None
        process.terminate()
    ours.until(lambda: not yard.leftovers(), "the build leaves nothing")
    ours.until(lambda: not [line for line in ours.processes().values() if "sleep 1019" in line], "it ends")


def test_a_static_site_is_made_in_one_stage_and_served_by_another(yard: Yard) -> None:
    yard.write(
        "FROM busybox AS site\nWORKDIR /src\nCOPY pages .\n"
        "RUN mkdir /site && for page in *.txt; do "
        'echo "<h1>$(cat $page)</h1>" > /site/${page%.txt}.html; done\n'
        "FROM busybox\nCOPY --from=site --chown=nobody /site /www\nUSER nobody\nEXPOSE 8080\n"
        'CMD ["httpd", "-f", "-p", "8080", "-h", "/www"]',
        {"pages/index.txt": "welcome", "pages/about.txt": "about us"},
    )
    assert yard.build("-t", "site").code == 0
    name = yard.engine.cli("run", "-d", "--network", "none", "site").stdout.strip()
    try:

        def answer() -> bool:
            got = yard.engine.cli("exec", name, "wget", "-qO-", "http://127.0.0.1:8080/about.html")
            return got.stdout == "<h1>about us</h1>\n"

        ours.until(answer, "the site answers")
    finally:
        yard.engine.cli("rm", "-f", name)
