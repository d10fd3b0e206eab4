"""Files that a container makes in a bind mount belong to who ran it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests import ours
from tests.peers import docker

USER, GROUP = 1234, 2345


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A user's directory."""
    place = tmp_path / "home"
    place.mkdir()
    (place / "mine").write_text("mine\n")
    (place / "roots").write_text("root's\n")
    os.chmod(place / "roots", 0o600)
    for path in (place, place / "mine"):
        os.chown(path, USER, GROUP)
    os.chmod(place / "mine", 0o600)
    return place


def _made(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_uid, found.st_gid


SCRIPT = "cat /x/mine; stat -c '%u %g' /x/mine; touch /x/new; cat /x/roots 2>/dev/null || echo closed"


@pytest.mark.parametrize(
    "words",
    [
        ("-v", "{home}:/x:uid=1234,gid=2345"),
        ("--mount", "type=bind,source={home},target=/x,uid=1234,gid=2345"),
        ("--mount", "type=bind,source={home},target=/x,idmap=uids=0-1234-1;gids=0-2345-1"),
        ("--userns", "private", "-v", "{home}:/x:uid=1234,gid=2345"),
    ],
)
def test_root_inside_is_a_user_outside(engine: ours.Engine, home: Path, words: tuple[str, ...]) -> None:
    options = [word.format(home=home) for word in words]
    done = engine.cli("run", "--rm", *options, "busybox", "sh", "-c", SCRIPT)
    assert done.stdout.startswith("mine\n0 0\n"), done.stderr
    assert _made(home / "new") == (USER, GROUP)


def test_the_unmodified_docker_command_line_can_ask_for_it(engine: ours.Engine, home: Path) -> None:
    words = ["run", "--rm", "--user", "5:6", "-v", f"{home}:/x:uid=1234,gid=2345", "busybox", "sh", "-c"]
    done = subprocess.run(
        [docker.docker_cli(), "-H", engine.host, *words, "id -u; stat -c '%u %g' /x/mine; touch /x/new"],
        capture_output=True,
        text=True,
    )
    assert done.stdout == "5\n5 6\n", done.stderr
    assert _made(home / "new") == (USER, GROUP)


def test_a_user_namespace_without_words_sees_nobody_and_with_idmap_the_same_ids(
    engine: ours.Engine, home: Path
) -> None:
    look = ("busybox", "stat", "-c", "%u", "/x/mine")
    assert engine.cli("run", "--rm", "--userns", "private", "-v", f"{home}:/x", *look).stdout == "65534\n"
    mapped = ("--userns", "private", "-v", f"{home}:/x:idmap")
    assert engine.cli("run", "--rm", *mapped, *look).stdout == "1234\n"
    engine.cli("run", "--rm", *mapped, "busybox", "touch", "/x/as-root")
    assert _made(home / "as-root") == (0, 0)


def test_what_has_no_place_inside_cannot_be_made(engine: ours.Engine, home: Path) -> None:
    done = engine.cli(
        "run", "--rm", "--user", "1234", "-v", f"{home}:/x:uid=1234@0", "busybox", "touch", "/x/new"
    )
    assert done.returncode == 1
    assert not (home / "new").exists()


def test_a_file_system_that_cannot_says_so_and_leaves_nothing(engine: ours.Engine) -> None:
    done = engine.cli("run", "--rm", "-v", "/sys/kernel:/x:uid=1234", "busybox", "true")
    assert done.returncode == 125
    assert 'the ids of "/sys/kernel" cannot be mapped: its file system' in done.stderr
    ours.until(lambda: engine.cli("ps", "-aq").stdout == "", "a container is left")


@pytest.mark.parametrize("word", ["uid=x", "uid=1,uid=2", "idmap=uids=1", "uid=-5"])
def test_words_that_mean_nothing_are_refused_at_once(engine: ours.Engine, home: Path, word: str) -> None:
    done = engine.cli("run", "--rm", "-v", f"{home}:/x:{word}", "busybox", "true")
    assert done.returncode == 125
    assert "invalid" in done.stderr
