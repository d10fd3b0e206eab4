"""Images to measure with: archives as ``docker save`` writes them, the same bytes each time."""

from __future__ import annotations

import hashlib
import io
import json
import random
import tarfile
from pathlib import Path

_UNIT = 1 << 20


def layer(directory: Path, number: int, files: int, size: int) -> Path:
    """An archive of so many files that have ``size`` bytes together, most of them small."""
    path = directory / f"layer{number}.tar"
    source = random.Random(number)
    pool = source.randbytes(4 * _UNIT)
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        weights = [source.lognormvariate(0, 1.5) for _ in range(files)]
        scale = size / sum(weights)
        for index, weight in enumerate(weights):
            if index % 40 == 0:
                info = tarfile.TarInfo(f"usr/share/{number}/{index // 40}")
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(info)
            info = tarfile.TarInfo(f"usr/share/{number}/{index // 40}/file{index}")
            info.size = int(weight * scale)
            start = source.randrange(len(pool) // 2)
            content = pool[start : start + info.size]
            while len(content) < info.size:
                content += pool[: info.size - len(content)]
            archive.addfile(info, io.BytesIO(content))
    return path


def image(directory: Path, name: str, layers: int, files: int, size: int, first: int = 0) -> Path:
    """An archive of one image of ``layers`` equal layers, the ``first`` and those that follow it."""
    numbers = range(first, first + layers)
    paths = [layer(directory, number, files // layers, size // layers) for number in numbers]
    return _archive(directory / f"{name}.tar", {f"{name}:1": paths})


def many(directory: Path, count: int) -> Path:
    """An archive of so many images with a small layer in common."""
    base = layer(directory, 99, 4, 4096)
    return _archive(directory / "many.tar", {f"many{number}:1": [base] for number in range(count)})


def _archive(target: Path, images: dict[str, list[Path]]) -> Path:
    entries = []
    placed: set[Path] = set()
    with tarfile.open(target, "w") as archive:
        for number, (name, paths) in enumerate(images.items()):
            diffs = []
            for path in paths:
                with path.open("rb") as file:
                    diffs.append("sha256:" + hashlib.file_digest(file, "sha256").hexdigest())
                if path not in placed:
                    placed.add(path)
                    archive.add(path, f"{path.stem}/layer.tar")
            config = json.dumps(
                {
                    "architecture": "amd64",
                    "os": "linux",
                    "created": "2024-01-01T00:00:00Z",
                    "config": {"Labels": {"number": str(number)}},
                    "rootfs": {"type": "layers", "diff_ids": diffs},
                }
            ).encode()
            _add(archive, f"config{number}.json", config)
            layers = [f"{path.stem}/layer.tar" for path in paths]
            entries.append({"Config": f"config{number}.json", "RepoTags": [name], "Layers": layers})
        _add(archive, "manifest.json", json.dumps(entries).encode())
    for path in placed:
        path.unlink()
    return target


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))
