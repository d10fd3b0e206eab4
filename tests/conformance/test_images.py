"""Images beside registries and archives: import by address, commit, history, prune and what they take up."""

from __future__ import annotations

import io
import json
import re
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests import ours
from tests.conformance.registry import registries
from tests.peers import docker

Cli = Callable[..., "subprocess.CompletedProcess[str]"]


def tarball(names: list[str], mtime: int) -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(name), mtime
            archive.addfile(info, io.BytesIO(name.encode()))
    return whole.getvalue()


class Files(BaseHTTPRequestHandler):
    """Serves one archive, and another that breaks off."""

    archive = tarball(["one", "two"], 1_000_000_000)

    def do_GET(self) -> None:
        if self.path == "/missing.tar":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.archive)))
        self.end_headers()
        self.wfile.write(self.archive[:700] if self.path == "/torn.tar" else self.archive)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Files)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with registries.registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture(params=["wharfie", "docker"])
def cli(engine: ours.Engine, request: pytest.FixtureRequest) -> Iterator[Cli]:
    """Each command line; the images that were made with it are removed."""
    before = set(engine.cli("images", "-aq", "--no-trunc").stdout.split())

    def by_docker(*words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [docker.docker_cli(), "-H", engine.host, *words], input=stdin, capture_output=True
        )
        return subprocess.CompletedProcess(
            words, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        )

    yield engine.cli if request.param == "wharfie" else by_docker
    after = set(engine.cli("images", "-aq", "--no-trunc").stdout.split())
    if after - before:
        engine.cli("rmi", "-f", *(after - before))


def done(cli: Cli, *words: str, stdin: bytes = b"") -> str:
    finished = cli(*words, stdin=stdin)
    assert finished.returncode == 0, finished.stderr + finished.stdout
    return finished.stdout


@pytest.mark.parametrize("scheme", ["http://", ""])
def test_an_archive_is_imported_from_an_address(engine: ours.Engine, cli: Cli, web: str, scheme: str) -> None:
    if scheme:
        said = done(cli, "import", "--change", "ENV A=b", f"http://{web}/root.tar", "fetched:1")
    else:  # as an API client may leave it out
        target = f"/images/create?fromSrc={web}/root.tar&repo=fetched&tag=1&changes=ENV%20A=b"
        socket = engine.host.removeprefix("unix://")
        words = ["curl", "-s", "--unix-socket", socket, "-X", "POST", f"http://docker{target}"]
        said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert f"Downloading from http://{web}/root.tar" in said
    made = json.loads(done(cli, "image", "inspect", "fetched:1"))[0]
    assert made["Config"]["Env"] == ["A=b"]
    assert made["Id"] in said
    assert made["Comment"] == f"Imported from {scheme}{web}/root.tar"


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/missing.tar", "failed to GET http://{web}/missing.tar with status 404 Not Found"),
        ("/torn.tar", "failed to fetch http://{web}/torn.tar: "),
    ],
)
def test_what_cannot_be_fetched_is_told_and_leaves_nothing(
    engine: ours.Engine, cli: Cli, web: str, path: str, sentence: str
) -> None:
    failed = cli("import", f"http://{web}{path}", "fetched:2")
    assert failed.returncode == 1
    assert sentence.format(web=web) in failed.stderr
    assert engine.cli("image", "inspect", "fetched:2").returncode == 1
    ours.until(lambda: not list((engine.state / "data" / "tmp").iterdir()), "something is left")


def test_a_server_that_is_not_there_is_named(cli: Cli) -> None:
    failed = cli("import", "http://user:secret@127.0.0.1:9/x.tar")
    assert failed.returncode == 1
    assert "failed to fetch http://xxxxx:xxxxx@127.0.0.1:9/x.tar" in failed.stderr
    assert "secret" not in failed.stderr


def test_a_commit_names_its_author_and_pauses_unless_told_not_to(engine: ours.Engine, cli: Cli) -> None:
    done(cli, "run", "-d", "--name", "committed", "--network", "none", "busybox", "sleep", "1000")
    try:
        since = done(cli, "inspect", "-f", "{{.State.StartedAt}}", "committed").strip()
        done(cli, "commit", "-a", "A. Uthor", "-m", "why", "-c", "LABEL x=y", "committed", "made:paused")
        done(cli, "commit", "--pause=false", "committed", "made:running")
        filters = (
            "-f",
            "container=committed",
            "-f",
            "event=pause",
            "-f",
            "event=unpause",
            "-f",
            "event=commit",
        )
        until = done(cli, "info", "-f", "{{.SystemTime}}").strip()
        told = done(cli, "events", "--since", since, "--until", until, "--format", "{{.Action}}", *filters)
        assert told.split() == ["pause", "unpause", "commit", "commit"] or told.split() == [
            "pause", "commit", "unpause", "commit",
        ]  # fmt: skip
        made = json.loads(done(cli, "image", "inspect", "made:paused"))[0]
        assert (made["Author"], made["Comment"]) == ("A. Uthor", "why")
        assert made["Config"]["Labels"] == {"x": "y"}
        top = json.loads(
            done(cli, "history", "--no-trunc", "--format", "{{json .}}", "made:paused").split("\n")[0]
        )
        assert top["Comment"] == "why"
    finally:
        engine.cli("rm", "-f", "committed")


def test_the_same_files_are_the_same_image_whenever_they_were_written(
    engine: ours.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1234567890")
    try:
        identities = set()
        for names, when in ((["one", "two"], 2_000_000_000), (["two", "one"], 2_000_000_001)):
            identities.add(done(engine.cli, "import", "-", "dated:1", stdin=tarball(names, when)))
        assert len(identities) == 1
        made = json.loads(done(engine.cli, "image", "inspect", "dated:1"))[0]
        assert made["Created"].startswith("2009-02-13T23:31:30")

        commits = set()
        for turn in range(2):
            script = f"echo same >/file; touch -d @{2_000_000_000 + turn} /file"
            done(
                engine.cli,
                "run",
                "-i",
                "--name",
                "dated",
                "--network",
                "none",
                "busybox",
                stdin=script.encode(),
            )
            commits.add(done(engine.cli, "commit", "dated", "dated:2"))
            done(engine.cli, "rm", "dated")
        assert len(commits) == 1
    finally:
        engine.cli("rmi", "-f", "dated:1", "dated:2")


def test_prune_obeys_label_and_until(engine: ours.Engine, cli: Cli) -> None:
    for label in ("keep=1", "drop=1"):
        done(
            cli, "import", "--change", f"LABEL {label}", "-", f"pruned:{label[:4]}", stdin=tarball([label], 5)
        )
        done(cli, "import", "-", f"pruned:{label[:4]}", stdin=tarball([label, "x"], 5))

    def loose(label: str) -> int:
        return len(done(cli, "images", "-q", "-f", "dangling=true", "-f", f"label={label}").split())

    assert (loose("keep"), loose("drop")) == (1, 1)
    done(cli, "image", "prune", "-f", "--filter", "until=1h", "--filter", "label=drop")
    assert (loose("keep"), loose("drop")) == (1, 1)
    assert "Total reclaimed space: 6B" in done(cli, "image", "prune", "-f", "--filter", "label=drop=1")
    assert (loose("keep"), loose("drop")) == (1, 0)
    done(cli, "image", "prune", "-f", "--filter", "label!=keep")
    assert loose("keep") == 1
    done(cli, "image", "prune", "-f", "--filter", "label=keep", "--filter", "until=2000-01-01")
    assert loose("keep") == 1
    failed = cli("image", "prune", "-f", "--filter", "until=x")
    assert failed.returncode == 1
    assert "failed to parse" in failed.stderr or "invalid" in failed.stderr
    assert loose("keep") == 1


SHOWN = [
    ("history", "busybox"),
    ("history", "--no-trunc", "-H=false", "busybox"),
    ("history", "-q", "--no-trunc", "busybox"),
    ("history", "--format", "{{.ID}} {{.CreatedBy}} {{.Size}} {{.Comment}}", "busybox"),
    ("history", "--format", "json", "busybox"),
    ("images", "--digests", "--no-trunc"),
    ("system", "df"),
    ("system", "df", "-v"),
    ("system", "df", "--format", "{{.Type}} {{.Reclaimable}}"),
    ("system", "df", "-v", "--format", "{{range .Images}}{{.Repository}} {{.UniqueSize}}\n{{end}}"),
    ("system", "df", "-v", "--format", "{{json .Volumes}}"),
    ("system", "df", "--format", "{{.Nothing}}"),
    ("version", "--format", "{{.Server.APIVersion}} {{.Server.MinAPIVersion}} {{.Server.Os}}"),
    ("version", "--format", "{{.Client.Arch}}{{.Client.Context}}"),
]


@pytest.mark.parametrize("words", SHOWN, ids=" ".join)
def test_both_command_lines_show_the_same(engine: ours.Engine, words: tuple[str, ...]) -> None:
    done(
        engine.cli, "create", "--name", "counted", "-v", "counted:/v", "--network", "none", "busybox", "true"
    )
    try:
        theirs = subprocess.run(
            [docker.docker_cli(), "-H", engine.host, *words], capture_output=True, text=True, check=False
        )
        own = engine.cli(*words)
    finally:
        engine.cli("rm", "-f", "counted")
        engine.cli("volume", "rm", "counted")

    def comparable(text: str) -> str:
        # a second may pass between the two
        return re.sub(r"  +", "  ", re.sub(r"(Less than a second|About a minute|\d+ \w+) ago", "ago", text))

    assert own.returncode == theirs.returncode
    # docker has the names of one image in any order
    assert sorted(comparable(own.stdout).splitlines()) == sorted(comparable(theirs.stdout).splitlines())


def test_a_list_of_manifests_is_amended_annotated_and_removed(
    engine: ours.Engine, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    members = [f"{server}/parts/{name}:1" for name in ("one", "two")]
    for name in members:
        done(engine.cli, "tag", "busybox", name)
        done(engine.cli, "push", name)
        done(engine.cli, "rmi", name)
    target = f"{server}/parts/all:1"
    done(engine.cli, "manifest", "create", target, members[0])
    done(engine.cli, "manifest", "create", "--amend", target, members[1])
    features = ("--os-features", "a,b", "--os-version", "10")
    done(
        engine.cli,
        "manifest",
        "annotate",
        "--os",
        "windows",
        "--arch",
        "amd64",
        *features,
        target,
        members[1],
    )
    found = json.loads(done(engine.cli, "manifest", "inspect", target))
    assert [one["platform"] for one in found["manifests"]] == [
        {"architecture": "amd64", "os": "linux"},
        {"architecture": "amd64", "os": "windows", "os.version": "10", "os.features": ["a", "b"]},
    ]
    wrong = engine.cli("manifest", "annotate", "--os", "linux", "--arch", "pdp11", target, members[1])
    assert wrong.returncode == 1
    assert "manifest entry for image has unsupported os/arch combination: linux/pdp11" in wrong.stderr
    done(engine.cli, "manifest", "rm", target)
    assert engine.cli("manifest", "rm", target).stderr.startswith("No such manifest: ")
