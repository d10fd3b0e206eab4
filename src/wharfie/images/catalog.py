"""Images, names and layers in ``state.db``: the rows, and nothing on disk.

A layer row is a *chain* (a layer on top of particular others); its directory depends on its own content only,
so several chains may share one. Rows and garbage change in one transaction: :meth:`Catalog.collect` drops
what no image needs and tells which directories and blobs have lost their last row; the files go after the
commit, and what a crash leaves behind then is swept at the next start.

An image removed by force from under a container keeps its layers until the container is gone: its row stays
as a *ghost* (``manifest`` is :data:`GHOST`) that no name and no list shows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from wharfie.state.db import Database

GHOST = "removed"


@dataclass(frozen=True, slots=True)
class LayerRow:
    """A layer of an image; ``directory`` is its name below ``layers/``."""

    chain: str
    parent: str
    diff: str
    directory: str
    size: int
    blob: str = ""


@dataclass(frozen=True, slots=True)
class ImageRow:
    """An image; ``config`` is its document as text."""

    id: str
    manifest: str
    config: str
    size: int
    created: int
    parent: str


@dataclass(frozen=True, slots=True)
class Garbage:
    """Names of files that no row needs any more."""

    directories: list[str]
    blobs: list[str]
    reclaimed: int


_IMAGE = "SELECT id, manifest, config, size, created, parent FROM images"
_LAYER = "SELECT l.chain, l.parent, l.diff, l.directory, l.size, l.blob FROM layers l"


# in an order in which what one leaves is found by the next
_DANGLING = {
    "image_refs": "image NOT IN (SELECT id FROM images)",
    "image_layers": "image NOT IN (SELECT id FROM images) OR chain NOT IN (SELECT chain FROM layers)",
    "layers": "chain NOT IN (SELECT chain FROM image_layers)",
    "blobs": "digest NOT IN (SELECT blob FROM layers) AND digest NOT IN (SELECT manifest FROM images)",
}


class Catalog:
    """The queries over one database."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def image(self, image_id: str, *, ghosts: bool = False) -> ImageRow | None:
        """The image of exactly this id."""
        row = self.db.row(f"{_IMAGE} WHERE id = ?", (image_id,))
        if row is None or (row[1] == GHOST and not ghosts):
            return None
        return ImageRow(*row)

    def images(self) -> list[ImageRow]:
        """Every image but ghosts, newest first."""
        query = f"{_IMAGE} WHERE manifest != ? ORDER BY created DESC, id"
        return [ImageRow(*row) for row in self.db.rows(query, (GHOST,))]

    def ghosts(self) -> list[str]:
        """Ids of the images that only containers still need."""
        return [str(row[0]) for row in self.db.rows("SELECT id FROM images WHERE manifest = ?", (GHOST,))]

    def ids_with_prefix(self, prefix: str) -> list[str]:
        """Up to two ids that begin with ``prefix`` (which is lower-case hexadecimal after ``sha256:``)."""
        query = "SELECT id FROM images WHERE id >= ? AND id < ? AND manifest != ? LIMIT 2"
        return [str(row[0]) for row in self.db.rows(query, (prefix, prefix + "g", GHOST))]

    def children(self, image_id: str) -> list[str]:
        """Ids of the images that were committed from this one."""
        query = "SELECT id FROM images WHERE parent = ? AND manifest != ?"
        return [str(row[0]) for row in self.db.rows(query, (image_id, GHOST))]

    def parents(self) -> set[str]:
        """Ids that some image names as its parent."""
        query = "SELECT DISTINCT parent FROM images WHERE manifest != ?"
        return {str(row[0]) for row in self.db.rows(query, (GHOST,))} - {""}

    def image_of(self, name: str) -> str | None:
        """The id that a canonical name stands for."""
        row = self.db.row("SELECT image FROM image_refs WHERE name = ?", (name,))
        return None if row is None else str(row[0])

    def names(self, image_id: str) -> list[tuple[str, bool]]:
        """The canonical names of an image, each with whether it is a tag (and not a digest)."""
        query = "SELECT name, tagged FROM image_refs WHERE image = ? ORDER BY name"
        return [(str(name), bool(tagged)) for name, tagged in self.db.rows(query, (image_id,))]

    def all_names(self) -> dict[str, list[tuple[str, bool]]]:
        """The same for every image that has any."""
        found: dict[str, list[tuple[str, bool]]] = {}
        for image, name, tagged in self.db.rows("SELECT image, name, tagged FROM image_refs ORDER BY name"):
            found.setdefault(image, []).append((name, bool(tagged)))
        return found

    def tags_of(self, repository: str) -> list[tuple[str, str]]:
        """Every tag of a repository (by its canonical name) with the id it stands for."""
        query = "SELECT name, image FROM image_refs WHERE name >= ? AND name < ? AND tagged ORDER BY name"
        return [
            (str(name), str(image))
            for name, image in self.db.rows(query, (repository + ":", repository + ";"))
        ]

    def set_name(self, name: str, image_id: str, *, tagged: bool) -> None:
        """Let ``name`` stand for the image, whatever it stood for before."""
        self.db.execute(
            "INSERT INTO image_refs (name, image, tagged) VALUES (?, ?, ?) "
            "ON CONFLICT (name) DO UPDATE SET image = excluded.image, tagged = excluded.tagged",
            (name, image_id, int(tagged)),
        )

    def drop_name(self, name: str) -> None:
        """Forget ``name``."""
        self.db.execute("DELETE FROM image_refs WHERE name = ?", (name,))

    def layers(self, image_id: str) -> list[LayerRow]:
        """The layers of an image, lowest first."""
        query = f"{_LAYER} JOIN image_layers i ON i.chain = l.chain WHERE i.image = ? ORDER BY i.position"
        return [LayerRow(*row) for row in self.db.rows(query, (image_id,))]

    def layer_directories(self, image_id: str) -> list[str]:
        """Where an image's layers are, lowest first."""
        query = (
            "SELECT l.directory FROM layers l JOIN image_layers i ON i.chain = l.chain "
            "WHERE i.image = ? ORDER BY i.position"
        )
        return [str(row[0]) for row in self.db.rows(query, (image_id,))]

    def all_layer_directories(self) -> dict[str, list[str]]:
        """The same for every image that has any."""
        query = (
            "SELECT i.image, l.directory FROM image_layers i JOIN layers l ON i.chain = l.chain "
            "ORDER BY i.image, i.position"
        )
        found: dict[str, list[str]] = {}
        for image, directory in self.db.rows(query):
            found.setdefault(image, []).append(directory)
        return found

    def all_layers(self) -> list[tuple[str, LayerRow]]:
        """Each layer of each image, with the image's id."""
        query = (
            "SELECT i.image, l.chain, l.parent, l.diff, l.directory, l.size, l.blob FROM layers l "
            "JOIN image_layers i ON i.chain = l.chain"
        )
        return [(str(row[0]), LayerRow(*row[1:])) for row in self.db.rows(query)]

    def chain_used(self, chain: str) -> bool:
        """Whether any image has the layer."""
        return self.db.row("SELECT 1 FROM image_layers WHERE chain = ? LIMIT 1", (chain,)) is not None

    def layer_by_diff(self, diff_id: str) -> LayerRow | None:
        """Any layer with this content; one that has its blob, if there is such a one."""
        row = self.db.row(f"{_LAYER} WHERE l.diff = ? ORDER BY l.blob = '' LIMIT 1", (diff_id,))
        return None if row is None else LayerRow(*row)

    def by_archive(self) -> dict[str, LayerRow]:
        """Every layer, by the digest of its archive and by that of its blob."""
        rows = [LayerRow(*row) for row in self.db.rows(f"{_LAYER} ORDER BY l.blob != ''")]
        return {**{row.blob: row for row in rows if row.blob}, **{row.diff: row for row in rows}}

    def blob_size(self, digest: str) -> int | None:
        """Size of a blob we keep."""
        row = self.db.row("SELECT size FROM blobs WHERE digest = ?", (digest,))
        return None if row is None else int(row[0])

    def add_blob(self, digest: str, size: int, media: str) -> None:
        """Remember a blob whose file is in place."""
        self.db.execute(
            "INSERT OR IGNORE INTO blobs (digest, size, media) VALUES (?, ?, ?)", (digest, size, media)
        )

    def remember_blob(self, diff_id: str, digest: str, size: int, media: str, repository: str) -> None:
        """A repository is known to have this form of a layer."""
        self.db.execute(
            "INSERT OR REPLACE INTO distributed (diff, digest, size, media, repository) "
            "VALUES (?, ?, ?, ?, ?)",
            (diff_id, digest, size, media, repository),
        )

    def remembered_blobs(self, diff_id: str) -> list[tuple[str, int, str, str]]:
        """Digest, size, media type and repository of the known forms of a layer, latest first."""
        query = "SELECT digest, size, media, repository FROM distributed WHERE diff = ? ORDER BY rowid DESC"
        found = self.db.rows(query, (diff_id,))
        return [(str(row[0]), int(row[1]), str(row[2]), str(row[3])) for row in found]

    def add_image(self, image: ImageRow, layers: list[LayerRow]) -> None:
        """Remember an image whose layers are in place; a known one stays, and is a ghost no more."""
        with self.db.transaction():
            known = self.image(image.id, ghosts=True)
            if known is not None:
                if known.manifest == GHOST or image.manifest:
                    self.db.execute("UPDATE images SET manifest = ? WHERE id = ?", (image.manifest, image.id))
                return
            self.db.execute(
                "INSERT INTO images (id, manifest, config, size, created, parent) VALUES (?, ?, ?, ?, ?, ?)",
                (image.id, image.manifest, image.config, image.size, image.created, image.parent),
            )
            for position, layer in enumerate(layers):
                self.db.execute(
                    "INSERT INTO layers (chain, parent, diff, directory, size, blob) "
                    "VALUES (?, ?, ?, ?, ?, ?) "
                    "ON CONFLICT (chain) DO UPDATE SET blob = excluded.blob WHERE layers.blob = ''",
                    (layer.chain, layer.parent, layer.diff, layer.directory, layer.size, layer.blob),
                )
                self.db.execute(
                    "INSERT INTO image_layers (image, position, chain) VALUES (?, ?, ?)",
                    (image.id, position, layer.chain),
                )

    def drop_image(self, image_id: str, *, ghost: bool) -> None:
        """Forget an image and its names; as a ghost its layers stay."""
        with self.db.transaction():
            self.db.execute("DELETE FROM image_refs WHERE image = ?", (image_id,))
            if ghost:
                self.db.execute("UPDATE images SET manifest = ? WHERE id = ?", (GHOST, image_id))
            else:
                self.db.execute("DELETE FROM images WHERE id = ?", (image_id,))

    def collect(self) -> Garbage:
        """Drop layers and blobs that nothing needs; the files are the caller's to remove after the commit."""
        with self.db.transaction():
            unused = "FROM layers WHERE chain NOT IN (SELECT chain FROM image_layers)"
            gone = self.db.rows(f"SELECT directory, size {unused}")
            self.db.execute(f"DELETE {unused}")
            self.db.execute("DELETE FROM distributed WHERE diff NOT IN (SELECT diff FROM layers)")
            kept = self.directories()
            sizes = {str(directory): int(size) for directory, size in gone if directory not in kept}
            loose = (
                "FROM blobs WHERE digest NOT IN (SELECT blob FROM layers) "
                "AND digest NOT IN (SELECT manifest FROM images)"
            )
            blobs = [str(row[0]) for row in self.db.rows(f"SELECT digest {loose}")]
            self.db.execute(f"DELETE {loose}")
        return Garbage(sorted(sizes), blobs, sum(sizes.values()))

    def every_image(self) -> list[ImageRow]:
        """Every image, ghosts too."""
        return [ImageRow(*row) for row in self.db.rows(f"{_IMAGE} ORDER BY id")]

    def all_blobs(self) -> list[tuple[str, int]]:
        """Digest and size of every blob."""
        return [(str(row[0]), int(row[1])) for row in self.db.rows("SELECT digest, size FROM blobs")]

    def distinct_layers(self) -> list[LayerRow]:
        """One row for each directory; one that has its blob, if there is such a one."""
        rows = [LayerRow(*row) for row in self.db.rows(f"{_LAYER} ORDER BY l.blob != ''")]
        return list({row.directory: row for row in rows}.values())

    def images_with(self, directory: str) -> list[str]:
        """Ids of the images that have the layer in this directory, ghosts too."""
        query = (
            "SELECT DISTINCT i.image FROM image_layers i JOIN layers l ON l.chain = i.chain "
            "WHERE l.directory = ? ORDER BY i.image"
        )
        return [str(row[0]) for row in self.db.rows(query, (directory,))]

    def set_layer_size(self, directory: str, size: int) -> None:
        """Correct the size of a layer, and of the images that have it."""
        with self.db.transaction():
            self.db.execute("UPDATE layers SET size = ? WHERE directory = ?", (size, directory))
            self.db.execute(
                "UPDATE images SET size = (SELECT coalesce(sum(l.size), 0) FROM image_layers i "
                "JOIN layers l ON l.chain = i.chain WHERE i.image = images.id)"
            )

    def set_blob_size(self, digest: str, size: int) -> None:
        """Correct the size of a blob."""
        self.db.execute("UPDATE blobs SET size = ? WHERE digest = ?", (size, digest))

    def forget_blob(self, digest: str) -> None:
        """Let nothing name a blob any more."""
        with self.db.transaction():
            self.db.execute("UPDATE layers SET blob = '' WHERE blob = ?", (digest,))
            self.db.execute("UPDATE images SET manifest = '' WHERE manifest = ?", (digest,))
            self.db.execute("DELETE FROM blobs WHERE digest = ?", (digest,))

    def dangling(self) -> dict[str, int]:
        """How many rows of each table lead nowhere, or are led to by nothing; only tables that have such."""
        found = {}
        for table, condition in _DANGLING.items():
            row = self.db.row(f"SELECT count(*) FROM {table} WHERE {condition}")
            if row is not None and row[0]:
                found[table] = int(row[0])
        return found

    def drop_dangling(self, table: str) -> None:
        """Remove those of one table."""
        self.db.execute(f"DELETE FROM {table} WHERE {_DANGLING[table]}")

    def add_unsynced(self, names: Iterable[str], boot: str) -> None:
        """Remember files that are in place and perhaps in the page cache only."""
        for name in names:
            self.db.execute("INSERT OR REPLACE INTO unsynced (name, boot) VALUES (?, ?)", (name, boot))

    def unsynced(self, boot: str) -> set[str]:
        """Those that were placed in this boot."""
        return {str(row[0]) for row in self.db.rows("SELECT name FROM unsynced WHERE boot = ?", (boot,))}

    def unsynced_elsewhere(self, boot: str) -> set[str]:
        """Those that were placed in another one."""
        return {str(row[0]) for row in self.db.rows("SELECT name FROM unsynced WHERE boot != ?", (boot,))}

    def forget_steps(self, directories: Iterable[str]) -> None:
        """Let the build cache have nothing with these layers."""
        with self.db.transaction():
            for directory in directories:
                self.db.execute("DELETE FROM build_cache WHERE directory = ?", (directory,))

    def drop_unsynced(self, names: Iterable[str]) -> None:
        """They are on the disk for good, or were looked at."""
        with self.db.transaction():
            for name in names:
                self.db.execute("DELETE FROM unsynced WHERE name = ?", (name,))

    def directories(self) -> set[str]:
        """Names below ``layers/`` that have a row, of an image or of the build cache."""
        query = "SELECT directory FROM layers UNION SELECT directory FROM build_cache WHERE directory != ''"
        return {str(row[0]) for row in self.db.rows(query)}

    def blobs(self) -> set[str]:
        """Digests that have a row."""
        return {str(row[0]) for row in self.db.rows("SELECT digest FROM blobs")}
