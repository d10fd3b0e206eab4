"""The file that the command line's modules come from."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "wharfie"
BOOT = (
    "import os, sys; sys.path.insert(0, sys.argv.pop(1)); from wharfie import door\n"
    "modules = door.read(door.path_of('runtime'))\n"
    "os.write(1, b'hit ' if modules else b'miss ')\n"
    "door.runtime()"
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the package, to be changed."""
    shutil.copytree(SOURCE, tmp_path / "wharfie", ignore=shutil.ignore_patterns("__pycache__", "*.json"))
    return tmp_path


def version(tree: Path) -> list[str]:
    words = [sys.executable, "-I", "-S", "-c", BOOT, str(tree), "--version"]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()[:4]


def kept(tree: Path) -> Path:
    return next((tree / "wharfie/runtime/__pycache__").glob("*.modules"))


def test_it_is_made_once_and_then_used(tree: Path) -> None:
    assert version(tree)[0] == "miss"
    made = kept(tree).stat()
    assert version(tree)[0] == "hit"
    assert kept(tree).stat().st_mtime_ns == made.st_mtime_ns


def test_it_is_never_older_than_a_source(tree: Path) -> None:
    version(tree)
    module = tree / "wharfie/runtime/cli.py"
    module.write_text(module.read_text().replace("wharfie-runtime version", "changed version"))
    assert version(tree)[:3] == ["miss", "changed", "version"]
    assert version(tree)[:3] == ["hit", "changed", "version"]


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\xe9\x00\x00\x00\x00", b")\x02NN"])
def test_a_broken_one_is_replaced(tree: Path, content: bytes) -> None:
    version(tree)
    kept(tree).write_bytes(content)
    assert version(tree)[:2] == ["miss", "wharfie-runtime"]
    assert version(tree)[0] == "hit"


def test_the_tree_may_move(tree: Path, tmp_path: Path) -> None:
    version(tree)
    os.rename(tree / "wharfie", tmp_path / "moving")
    (tmp_path / "elsewhere").mkdir()
    os.rename(tmp_path / "moving", tmp_path / "elsewhere" / "wharfie")
    assert version(tmp_path / "elsewhere")[:2] == ["hit", "wharfie-runtime"]


def test_where_it_cannot_be_kept_modules_load_one_by_one(tree: Path) -> None:
    version(tree)
    kept(tree).unlink()
    # in the way of the file that would be renamed, whoever may write
    directory = tree / "wharfie/runtime/__pycache__"
    shutil.rmtree(directory)
    directory.write_text("")
    assert version(tree)[:2] == ["miss", "wharfie-runtime"]
