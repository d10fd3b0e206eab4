"""Layers on disk, and how a stream becomes one.

::

    layers/<hex of the diff id>/diff/       the files, as overlayfs wants them
                                split       what else the archive had (tarsplit)
                                replaced/   files the archive overwrote itself
    blobs/sha256/<hex>                      compressed archives, and manifests, as they came
    tmp/layer-…                             a layer being made: renamed when it is whole and proven

A stream passes through two threads: one takes it in (digest and copy of the compressed bytes, decompression,
digest of the archive), the other unpacks. isal, zlib, zstandard and hashlib let go of the interpreter lock,
so the two run beside each other and beside the download.
"""

from __future__ import annotations

import hashlib
import os
import queue
import stat
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from wharfie.errors import InvalidArgument
from wharfie.images import decompress, tarsplit
from wharfie.images.limits import Budget, check_ratio
from wharfie.images.tar import TarReader
from wharfie.images.unpack import Rules, Unpacker
from wharfie.linux.fd import sync_filesystem
from wharfie.support.faults import point
from wharfie.support.files import remove_tree, write_all
from wharfie.support.ids import random_hex
from wharfie.support.trees import walk

_QUEUED = 8
"""Pieces of up to 1 MiB between the two threads."""
_PREFIX = "layer-"


class DigestMismatch(InvalidArgument):
    """Content is not what its digest says."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer that is in place."""

    diff_id: str
    size: int
    blob: str = ""
    blob_size: int = 0

    @property
    def directory(self) -> str:
        """Its name below ``layers/``."""
        return self.diff_id.removeprefix("sha256:")


class LayerStore:
    """The directories ``layers``, ``blobs`` and ``tmp`` of a data root."""

    def __init__(self, data_root: str) -> None:
        self._layers = os.path.join(data_root, "layers")
        self._blobs = os.path.join(data_root, "blobs", "sha256")
        self._tmp = os.path.join(data_root, "tmp")
        self._hidden: set[str] = set()
        self.placed: set[str] = set()
        """Directories and digests that were placed and may not have a row yet."""
        self.fresh: set[str] = set()
        """Those that were placed and may be in the page cache only."""
        for path in (self._layers, self._blobs, self._tmp):
            os.makedirs(path, mode=0o711, exist_ok=True)
        # images hold set-uid programs: no user of the host may reach them (CVE-2021-41103)
        for path in (self._layers, self._blobs, self._tmp):
            os.chmod(path, 0o700)

    def directory(self, name: str) -> str:
        """Where a layer is."""
        return os.path.join(self._layers, name)

    def diff(self, name: str) -> str:
        """Where a layer's files are."""
        return os.path.join(self._layers, name, "diff")

    def beside(self, name: str) -> int:
        """Bytes that a layer takes beside its files: the record of its archive, and what that overwrote."""
        directory = self.directory(name)
        total = 0
        try:
            total += os.stat(os.path.join(directory, "split")).st_size
            total += tree_size(os.path.join(directory, "replaced"))
        except FileNotFoundError:
            pass  # nothing was overwritten, or the layer is damaged and a check tells of it
        return total

    def blob(self, digest: str) -> str:
        """Where a blob is."""
        return os.path.join(self._blobs, digest.removeprefix("sha256:"))

    def draft(self) -> Draft:
        """A new layer to be made."""
        return Draft(os.path.join(self._tmp, _PREFIX + random_hex(16)))

    def temporary(self, kind: str) -> str:
        """A name for something of ours in ``tmp``; a left-over is swept at the next start."""
        return os.path.join(self._tmp, f"{_PREFIX}{kind}-{random_hex(16)}")

    def place(self, draft: Draft, layer: Layer) -> None:
        """Make a finished draft visible; if the same layer is there already the draft is dropped."""
        if layer.blob and not os.path.exists(self.blob(layer.blob)):
            self._announce(layer.blob, self.blob(layer.blob))
            os.rename(draft.blob, self.blob(layer.blob))
            point("a blob is placed")
        self._announce(layer.directory, self.diff(layer.directory))
        try:
            os.rename(draft.path, self.directory(layer.directory))
        except OSError:
            if not os.path.isdir(self.diff(layer.directory)):
                raise
            draft.discard()
        point("a layer is placed")

    def _announce(self, name: str, path: str) -> None:
        self.placed.add(name)
        if not os.path.exists(path):
            self.fresh.add(name)

    def sync(self) -> None:
        """In a thread: what was placed by now survives a power cut."""
        sync_filesystem(self._layers)
        point("the disk is synced")

    def put_blob(self, digest: str, data: bytes) -> None:
        """Keep a small blob (a manifest); the digest is the caller's to have checked."""
        temporary = self.temporary("blob")
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            write_all(fd, data)
        finally:
            os.close(fd)
        point("a manifest is written")
        self._announce(digest, self.blob(digest))
        os.rename(temporary, self.blob(digest))

    def hide(self, directories: Iterable[str], blobs: Iterable[str]) -> list[str]:
        """Take away what no row names any more, in one step each; what is then to be removed, at leisure."""
        return self.hide_paths([*map(self.directory, directories), *map(self.blob, blobs)])

    def hide_paths(self, paths: Iterable[str]) -> list[str]:
        """The same by where it is."""
        hidden = []
        for path in paths:
            target = self.temporary("gone")
            try:
                os.rename(path, target)
            except FileNotFoundError:
                continue
            self._hidden.add(target)
            hidden.append(target)
            point("garbage is hidden")
        return hidden

    def remove(self, paths: Iterable[str]) -> list[OSError]:
        """In a thread: remove what was hidden; what fails is told, and swept at the next start."""
        problems = []
        for path in paths:
            try:
                remove_tree(path)
            except OSError as error:
                problems.append(error)
            self._hidden.discard(path)
            point("garbage is removed")
        return problems

    def sweep(self, directories: set[str], blobs: set[str]) -> list[OSError]:
        """At start: remove what a crash left behind, which is all that has no row."""
        return self.remove(self.loose(directories, blobs))

    def loose(self, directories: set[str], blobs: set[str]) -> list[str]:
        """Paths of all that has no row, while nobody makes a layer; not what is being removed already."""
        left = [os.path.join(self._tmp, name) for name in os.listdir(self._tmp) if name.startswith(_PREFIX)]
        loose = [self.directory(name) for name in os.listdir(self._layers) if name not in directories]
        stray = [
            os.path.join(self._blobs, name)
            for name in os.listdir(self._blobs)
            if f"sha256:{name}" not in blobs
        ]
        return [path for path in sorted(left) if path not in self._hidden] + sorted(loose) + sorted(stray)


def tree_size(directory: str) -> int:
    """Bytes of the files and links below a directory, each inode once."""
    seen: set[int] = set()
    total = 0
    for _, found in walk(directory):
        if stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode):
            if found.st_nlink > 1 and found.st_ino in seen:
                continue
            seen.add(found.st_ino)
            total += found.st_size
    return total


class Draft:
    """A layer being made, in ``tmp``."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.blob = path + ".blob"
        self._replaced = 0
        self._recount = False
        os.mkdir(path, 0o711)
        point("a draft is begun")
        os.mkdir(os.path.join(path, "diff"), 0o755)
        os.chmod(os.path.join(path, "diff"), 0o755)

    def discard(self) -> None:
        """Remove it; nothing is left."""
        remove_tree(self.path)
        remove_tree(self.blob)

    def fill(
        self, read: decompress.Read, *, keep_blob: bool, progress: Callable[[int], None] | None = None
    ) -> Layer:
        """In a thread: unpack a stream, compressed or not.

        The digests are for the caller to compare before the draft is placed. ``progress`` is told how many
        compressed bytes were taken.

        Raises:
            BadArchive, BadCompression, ArchiveTooBig: the stream is no good.
            OSError: the file system refuses. Whatever is raised, the draft is the caller's to discard.
        """
        intake = _Intake(read, self.blob if keep_blob else None, progress)
        intake.start()
        try:
            size = self._unpack(intake.pieces())
        finally:
            intake.stop()
        blob, blob_size = intake.blob()
        point("a draft is filled")
        return Layer(intake.diff_id(), size, blob, blob_size)

    def _unpack(self, pieces: Iterator[bytes]) -> int:
        root = os.open(os.path.join(self.path, "diff"), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with open(os.path.join(self.path, "split"), "xb") as file:
                split = tarsplit.SplitWriter(file)

                def displace(parent: int, name: bytes, path: bytes) -> None:
                    self._displace(split, parent, name, path)

                reader = TarReader(lambda: next(pieces, b""), split.raw)
                unpacker = Unpacker(root, Rules(layer=True), displace, Budget(root))
                try:
                    for entry in reader:
                        point("a layer's next entry")
                        sparse = entry.sparse is not None
                        content = _copied(reader, split) if sparse else reader.content()
                        placed = unpacker.add(entry, content)
                        if placed and entry.size and not sparse:
                            split.file(placed, entry.size)
                    reader.rest()
                    unpacker.finish()
                finally:
                    unpacker.close()
                split.close()
            # what an archive overwrote itself was counted, and is in the layer no more
            return tree_size(os.path.join(self.path, "diff")) if self._recount else unpacker.size
        finally:
            os.close(root)

    def _displace(self, split: tarsplit.SplitWriter, parent: int, name: bytes, path: bytes) -> None:
        self._recount = True
        kind = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
        if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
            os.unlink(name, dir_fd=parent)
            return
        if not self._replaced:
            os.mkdir(os.path.join(self.path, "replaced"), 0o700)
        self._replaced += 1
        target = os.path.join(self.path, "replaced", str(self._replaced))
        os.rename(name, os.fsencode(target), src_dir_fd=parent)
        split.displaced(path, self._replaced)


def _copied(reader: TarReader, split: tarsplit.SplitWriter) -> Iterator[bytes]:
    """The content of a file with holes: the archive's form of it cannot be made from the file again."""
    for piece in reader.content():
        split.raw(piece)
        yield piece


class _Stopped(Exception):
    """The unpacking thread has given up."""


class _Intake(threading.Thread):
    """Reads the stream, keeps and digests it, decompresses, digests again, and queues the archive's bytes."""

    def __init__(
        self, read: decompress.Read, blob: str | None, progress: Callable[[int], None] | None
    ) -> None:
        super().__init__(name="layer intake", daemon=True)
        self._source = read
        self._blob_path = blob
        self._progress = progress
        self._queue: queue.Queue[bytes | BaseException] = queue.Queue(_QUEUED)
        self._stopped = False
        self._archive = hashlib.sha256()
        self._taken = 0
        self._kind = ""
        self._first: list[bytes] | None = []
        """What was taken before it was known whether it is compressed."""
        self._blob: _Blob | None = None

    def run(self) -> None:
        try:
            self._run()
        except _Stopped:
            return

    def _run(self) -> None:
        try:
            self._pump()
        except _Stopped:
            raise
        except BaseException as error:
            self._put(error)
        else:
            self._put(b"")
        finally:
            if self._blob is not None:
                self._blob.close()

    def _pump(self) -> None:
        self._kind, read = decompress.opened(self._take)
        if self._kind and self._blob_path is not None:
            self._blob = _Blob(self._blob_path)
            self._blob.take(b"".join(self._first or ()))
        self._first = None
        expanded = 0
        while piece := read():
            expanded += len(piece)
            check_ratio(self._taken, expanded)
            self._archive.update(piece)
            self._put(piece)
        while self._take():  # what follows the compressed stream is part of the blob
            continue

    def _take(self) -> bytes:
        piece = self._source()
        self._taken += len(piece)
        if self._first is not None:
            self._first.append(piece)
        elif self._blob is not None:
            self._blob.take(piece)
        if self._progress is not None and piece:
            self._progress(self._taken)
        return piece

    def _put(self, piece: bytes | BaseException) -> None:
        while not self._stopped:
            try:
                self._queue.put(piece, timeout=1)
                return
            except queue.Full:
                continue
        raise _Stopped

    def pieces(self) -> Iterator[bytes]:
        """In the other thread: the archive."""
        while True:
            piece = self._queue.get()
            if isinstance(piece, BaseException):
                raise piece
            if not piece:
                return
            yield piece

    def stop(self) -> None:
        """In the other thread: no more is wanted; waits for the end."""
        self._stopped = True
        while True:
            try:
                self._queue.get_nowait()
            except queue.Empty:
                break
        self.join()

    def diff_id(self) -> str:
        """Digest of the archive."""
        return "sha256:" + self._archive.hexdigest()

    def blob(self) -> tuple[str, int]:
        """Digest and size of the compressed stream, if that is kept."""
        if self._blob is None:
            return "", 0  # it came as it is: the layer itself can make it again
        return self._blob.digest(), self._taken


class _Blob:
    """A compressed stream on its way to the disk."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._total = hashlib.sha256()

    def take(self, piece: bytes) -> None:
        """Write and digest the next piece."""
        self._total.update(piece)
        write_all(self._fd, piece)

    def digest(self) -> str:
        """Digest of all that was taken."""
        return "sha256:" + self._total.hexdigest()

    def close(self) -> None:
        """No more will come."""
        os.close(self._fd)
