"""Files of an open directory."""

from __future__ import annotations

import os
from pathlib import Path

from wharfie.support.files import unlink


def test_what_is_not_there_need_not_be_removed(tmp_path: Path) -> None:
    (tmp_path / "here").touch()
    directory = os.open(tmp_path, os.O_PATH)
    unlink("here", directory)
    unlink("here", directory)
    os.close(directory)
    assert os.listdir(tmp_path) == []
