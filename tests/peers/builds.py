"""A corpus of Dockerfiles with their contexts, each built by real Docker (BuildKit) and by us.

A case is one Dockerfile and the files around it; what is compared is the image's configuration, which steps
have layers, and every file that is not the base image's: kind, mode, owner, content, target of links, and for
files that were copied the time.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.peers import buildcases, sources

STAMP = 1_700_000_000
"""When all files of all contexts were last changed."""
_FIELDS = (
    "User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Healthcheck", "Volumes", "WorkingDir", "Labels",
    "StopSignal", "OnBuild", "Shell", "ArgsEscaped",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One build."""

    name: str
    dockerfile: str
    files: dict[str, Any] = field(default_factory=dict)
    """Content by path; a tuple is (content, mode); None a directory; ``-> x`` a link."""
    arguments: tuple[str, ...] = ()


def cases() -> Iterator[Case]:
    """All of them."""
    for family, rows in buildcases.FAMILIES.items():
        for number, row in enumerate(rows, 1):
            dockerfile, files, arguments = (*row, {}, ())[:3] if isinstance(row, tuple) else (row, {}, ())
            if isinstance(files, tuple):
                files, arguments = {}, files
            files = files or buildcases.CONTEXT
            yield Case(f"{family}-{number:02}", dockerfile, files, arguments)


def write_context(case: Case, directory: Path, addresses: dict[str, str]) -> None:
    """The files of a case; ``addresses``: of what it takes from elsewhere."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "Dockerfile").write_text(sources.put_in(case.dockerfile, addresses) + "\n")
    for name, what in case.files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if what is None:
            path.mkdir(exist_ok=True)
        elif isinstance(what, str) and what.startswith("-> "):
            path.symlink_to(what[3:])
        else:
            content, mode = what if isinstance(what, tuple) else (what, 0o644)
            content = _archive(content[1:]) if content in _ARCHIVES else content
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
            path.chmod(mode)
    for path in sorted(directory.rglob("*"), reverse=True):
        os.utime(path, (STAMP, STAMP), follow_symlinks=False)


_ARCHIVES = ("@tar", "@tar.gz", "@tar.bz2", "@tar.xz", "@gz")


def _archive(kind: str) -> bytes:
    if kind == "gz":
        return gzip.compress(b"no archive", mtime=0)
    mode = {"tar": "w", "tar.gz": "w:gz", "tar.bz2": "w:bz2", "tar.xz": "w:xz"}[kind]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content, owner in (("in", None, 9), ("in/f", b"inside", 9), ("g", b"top", 0)):
            entry = tarfile.TarInfo(name)
            entry.mtime, entry.uid, entry.gid = STAMP, owner, owner
            if content is None:
                entry.type, entry.mode = tarfile.DIRTYPE, 0o750
                archive.addfile(entry)
            else:
                entry.size, entry.mode = len(content), 0o640
                archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def outcome(archive: bytes, base: dict[str, Any] | None = None) -> dict[str, Any]:
    """What a ``docker save`` says of its one image, without what ``base`` (a tree) has."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as whole:
        read = {entry.name: whole.extractfile(entry) for entry in whole if entry.isfile()}
        files = {name: file.read() for name, file in read.items() if file is not None}
    (manifest,) = json.loads(files["manifest.json"])
    config = json.loads(files[manifest["Config"]])
    tree: dict[str, Any] = {}
    for name in manifest["Layers"]:
        _apply(tree, files[name])
    run = {key: value for key, value in (config.get("config") or {}).items() if key in _FIELDS and value}
    left = {path: what for path, what in tree.items() if (base or {}).get(path) != what}
    gone = sorted(path for path in base or {} if path not in tree)
    history = [bool(step.get("empty_layer")) for step in config.get("history") or []]
    return {"config": run, "tree": left, "gone": gone, "empty": history, "whole": tree}


def _apply(tree: dict[str, Any], data: bytes) -> None:
    with tarfile.open(fileobj=io.BytesIO(data)) as layer:
        for entry in layer:
            name = entry.name.removeprefix("./").strip("/")
            above, _, last = name.rpartition("/")
            if not name or name == ".":
                continue
            if last == ".wh..wh..opq":
                for path in [path for path in tree if path.startswith(above + "/")]:
                    del tree[path]
            elif last.startswith(".wh."):
                hidden = f"{above}/{last[4:]}" if above else last[4:]
                for path in [path for path in tree if path == hidden or path.startswith(hidden + "/")]:
                    del tree[path]
            else:
                tree[name] = _described(layer, entry, tree)


def _described(layer: tarfile.TarFile, entry: tarfile.TarInfo, tree: dict[str, Any]) -> Any:
    when = STAMP if int(entry.mtime) == STAMP else 0
    owner = [entry.uid, entry.gid]
    if entry.isdir():
        return ["dir", oct(entry.mode), *owner]
    if entry.issym():
        return ["link", entry.linkname, *owner]
    if entry.islnk():
        return tree.get(entry.linkname.removeprefix("./").strip("/"), ["hard", entry.linkname])
    if entry.isfile():
        file = layer.extractfile(entry)
        assert file is not None
        return ["file", oct(entry.mode), *owner, hashlib.sha256(file.read()).hexdigest()[:16], when]
    return [entry.type.decode(), oct(entry.mode), *owner]
