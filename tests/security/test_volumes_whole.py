"""Volumes as an attacker sees them: subpaths that lead out, names that climb, archives that reach further."""

from __future__ import annotations

import http.client
import io
import socket
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ours

SECRET = "only the host has this"


@pytest.fixture
def outside(engine: ours.Engine, tmp_path: Path) -> Iterator[Path]:
    """A directory of the host; at the end containers and volumes are removed, and it is untouched."""
    place = tmp_path / "outside"
    place.mkdir()
    (place / "secret").write_text(SECRET)
    yield place
    names = engine.cli("ps", "-aq").stdout.split()
    if names:
        engine.cli("rm", "-f", "-v", *names)
    volumes = engine.cli("volume", "ls", "-q").stdout.split()
    if volumes:
        engine.cli("volume", "rm", *volumes)
    assert {path.name: path.read_text() for path in place.iterdir()} == {"secret": SECRET}


@pytest.mark.parametrize("options", [(), ("-o", "size=8m")])
def test_a_subpath_that_is_a_link_stays_inside_its_volume(
    engine: ours.Engine, outside: Path, options: tuple[str, ...]
) -> None:
    engine.cli("volume", "create", *options, "trap")
    script = f"cd /x; mkdir inner; ln -s {outside} absolute; ln -s {'../' * 9}{outside} up; ln -s / top"
    engine.cli("run", "--rm", "-v", "trap:/x", "busybox", "sh", "-c", script)
    for subpath in ("absolute", "up", f"top{outside}", "inner/../absolute"):
        mount = f"type=volume,source=trap,target=/y,volume-subpath={subpath}"
        done = engine.cli("run", "--rm", "--mount", mount, "busybox", "cat", "/y/secret")
        assert done.returncode != 0, subpath
        assert SECRET not in done.stdout
    whole = engine.cli(
        "run",
        "--rm",
        "--mount",
        "type=volume,source=trap,target=/y,volume-subpath=top",
        "busybox",
        "ls",
        "/y",
    )
    assert whole.stdout == "absolute\ninner\ntop\nup\n"


def test_a_subpath_swapped_for_a_link_meanwhile_never_leads_out(engine: ours.Engine, outside: Path) -> None:
    swap = (
        f"cd /x; mkdir sub real; touch real/inside; ln -s {outside} link; touch ready; while :; do "
        "mv sub kept; mv link sub; mv sub link; mv kept sub; done"
    )
    engine.cli("run", "-d", "--name", "attacker", "-v", "raced:/x", "busybox", "sh", "-c", swap)
    ours.until(lambda: not engine.cli("exec", "attacker", "test", "-e", "/x/ready").returncode, "not ready")
    mount = "type=volume,source=raced,target=/y,volume-subpath=sub"
    started = 0
    for _ in range(40):
        done = engine.cli("run", "--rm", "--mount", mount, "busybox", "sh", "-c", "cat /y/secret; touch /y/w")
        assert SECRET not in done.stdout
        started += "cannot access path" not in done.stderr
    assert started, "the race was never won by the victim: nothing was tried"


def ask(engine: ours.Engine, method: str, path: str, body: bytes = b"") -> int:
    connection = http.client.HTTPConnection("docker")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(engine.host.removeprefix("unix://"))
    connection.request(method, path, body, {"Content-Type": "application/json"})
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.parametrize("name", ["..", "../x", "../../../../tmp/x", "a/../../x", ".templates", "x\\u0000y"])
def test_no_name_reaches_beyond_the_volumes(engine: ours.Engine, outside: Path, name: str) -> None:
    before = sorted(path.name for path in (engine.state / "data").iterdir())
    assert ask(engine, "POST", "/volumes/create", f'{{"Name":"{name}"}}'.encode()) == 400
    quoted = name.replace("/", "%2F").replace("\\u0000", "%00")
    for method, path in (
        ("GET", f"/volumes/{quoted}"),
        ("DELETE", f"/volumes/{quoted}"),
        ("DELETE", f"/volumes/{quoted}?force=1"),
        ("GET", f"/volumes/{quoted}/archive"),
        ("PUT", f"/volumes/{quoted}/archive"),
    ):
        assert ask(engine, method, path) in (204, 400, 404), (method, path)
    assert sorted(path.name for path in (engine.state / "data").iterdir()) == before


def test_an_archive_for_a_volume_stays_in_it(engine: ours.Engine, outside: Path) -> None:
    engine.cli("volume", "create", "target")
    for kind, name, link in (
        (tarfile.REGTYPE, "../escaped", ""),
        (tarfile.REGTYPE, f"{outside}/escaped", ""),
        (tarfile.SYMTYPE, "way", str(outside)),
        (tarfile.REGTYPE, "way/escaped", ""),
        (tarfile.LNKTYPE, "hard", f"{outside}/secret"),
        (tarfile.BLKTYPE, "disk", ""),
    ):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, link
            archive.addfile(entry)
        engine.cli("volume", "import", "target", stdin=buffer.getvalue())
    assert not (engine.state / "data/volumes/escaped").exists()
    assert not (engine.state / "data/volumes/target/escaped").exists()
    hard = engine.state / "data/volumes/target/_data/hard"
    assert not hard.exists()
