"""The list of files that goes to a client, however deep they are."""

from __future__ import annotations

import os
from pathlib import Path

from wharfie.buildkit.filesend import _listed
from wharfie.support.files import remove_tree

DEPTH = 1500


def test_a_tree_deeper_than_python_recurses_is_listed(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    for level in range(1, DEPTH + 1):
        os.mkdir(f"{top}{'/d' * level}")
    (top / "e").write_bytes(b"last")
    files: list[bytes] = []
    root = os.open(top, os.O_PATH | os.O_DIRECTORY)
    try:
        assert len(list(_listed(root, b"", files))) == DEPTH + 1
    finally:
        os.close(root)
        remove_tree(str(top))
    assert files[-1] == b"e"
