"""What stands for ``os`` on the start path says what ``os`` says."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from wharfie.support import paths
from wharfie.support.environment import variable

PIECES = ("", "/", "a", "b", ".", "..", "//")
TEXTS = sorted({"".join(pieces) for pieces in itertools.product(PIECES, repeat=5)})


@pytest.mark.parametrize("name", ["split", "dirname", "basename", "normpath", "abspath"])
def test_what_is_made_of_one_path(name: str) -> None:
    ours, theirs = getattr(paths, name), getattr(os.path, name)
    assert [ours(text) for text in TEXTS] == [theirs(text) for text in TEXTS]


def test_paths_that_are_joined() -> None:
    few = ["", "/", "a", "a/", "/a", "//a/", "..", "a/.."]
    for names in itertools.product(few, repeat=3):
        assert paths.join(*names) == os.path.join(*names)


def test_the_way_from_one_to_another() -> None:
    few = ["/", "/a", "/a/b", "/a/bc/d", "/x/../a/b", "a", "../a", "."]
    for one, other in itertools.product(few, repeat=2):
        assert paths.relpath(one, other) == os.path.relpath(one, other)


def test_what_absolute_paths_share() -> None:
    few = ["/", "/a", "/a/b", "/a/bc/d", "/a/./b/", "//a//b"]
    for some in itertools.product(few, repeat=3):
        assert paths.commonpath(some) == os.path.commonpath(some)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths of all kinds, in the working directory and absolute."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "directory/below").mkdir(parents=True)
    (tmp_path / "directory/file").write_text("")
    os.mkfifo(tmp_path / "fifo")
    for name, target in (
        ("link", "directory"),
        ("further", "link/below"),
        ("absolute", str(tmp_path / "link")),
        ("up", "directory/below/../.."),
        ("directory/out", "../further"),
        ("dangling", "nothing/there"),
        ("itself", "itself"),
        ("one", "other/x"),
        ("other", "one/y"),
    ):
        (tmp_path / name).symlink_to(target)
    heads = [
        "directory", "directory/file", "fifo", "link", "further", "absolute", "up", "directory/out",
        "dangling", "itself", "one", "nothing", "", ".", "..", "directory/file/below", "\udcff",
    ]  # fmt: skip
    tails = ["", "/", "/.", "/..", "/file", "/below/../file", "/x/../y", "//below", "/link/../absolute"]
    relative = [head + tail for head in heads for tail in tails]
    return [
        *relative,
        *(f"{tmp_path}/{path}" for path in relative),
        f"//{tmp_path}/further",
        "/",
        "//",
        "/..",
    ]


@pytest.mark.parametrize("name", ["exists", "lexists", "isdir", "isfile", "realpath"])
def test_what_the_file_system_says(name: str, tree: list[str]) -> None:
    ours, theirs = getattr(paths, name), getattr(os.path, name)
    for path in tree:
        assert ours(path) == theirs(path), path


@pytest.mark.parametrize("name", ["exists", "lexists", "isdir", "isfile"])
def test_a_name_that_cannot_be_is_not_there(name: str) -> None:
    for path in ("a\0b", "x" * 5000):
        assert getattr(paths, name)(path) is False is getattr(os.path, name)(path)


def test_whether_two_are_one(tree: list[str]) -> None:
    assert paths.samestat(os.stat("directory/below"), os.stat("further"))
    assert not paths.samestat(os.stat("directory"), os.stat("further"))


def made(make: object, path: str, mode: int, *, exist_ok: bool) -> object:
    """What is there after a directory was made, or the error."""
    try:
        make(path, mode, exist_ok=exist_ok)  # type: ignore[operator]
    except OSError as error:
        return type(error), error.errno
    return sorted((os.path.relpath(at), os.stat(at).st_mode) for at, *_ in os.walk("."))


@pytest.mark.parametrize("exist_ok", [False, True])
@pytest.mark.parametrize("mode", [0o777, 0o700, 0o711])
@pytest.mark.parametrize(
    "path",
    ["a", "a/b/c", "a/b/c/", "a/b/.", "./a", "there", "there/", "there/x/y", "file", "file/x", "a/../b", ""],
)
def test_directories_with_those_above(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, mode: int, exist_ok: bool
) -> None:
    found = []
    for name, make in (("ours", paths.makedirs), ("theirs", os.makedirs)):
        place = tmp_path / name
        (place / "there").mkdir(parents=True)
        (place / "file").write_text("")
        monkeypatch.chdir(place)
        found.append(made(make, path, mode, exist_ok=exist_ok))
    assert found[0] == found[1]


@pytest.mark.parametrize("name", ["", "plain", "ümlaut", "\udcff\udc80", b"bytes\xff"])
def test_names_as_the_kernel_has_them(name: str | bytes) -> None:
    assert paths.fsencode(name) == os.fsencode(name)


def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ODD", "\udcffü")
    assert variable("ODD") == os.environ["ODD"] == "\udcffü"
    assert variable("THERE_IS_NO_SUCH") is None
