"""How much disk a directory takes."""

from __future__ import annotations

import os


def directory_size(path: str) -> int:
    """The bytes of all files below ``path``, hard links once; what cannot be read counts nothing."""
    seen: set[tuple[int, int]] = set()
    total = 0
    pending = [path]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    try:
                        stat = entry.stat(follow_symlinks=False)
                    except OSError:
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    elif stat.st_nlink < 2:
                        total += stat.st_size
                    elif (stat.st_dev, stat.st_ino) not in seen:
                        seen.add((stat.st_dev, stat.st_ino))
                        total += stat.st_size
        except OSError:
            continue
    return total
