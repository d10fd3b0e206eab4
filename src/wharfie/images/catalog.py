"""Images, names and layers in ``state.db``: the rows, and nothing on disk.

A layer row is a *chain* (a layer on top of particular others); its directory depends on its own content only,
so several chains may share one. Rows and garbage change in one transaction: :meth:`Catalog.collect` drops
what no image needs and tells which directories and blobs have lost their last row; the files go after the
commit, and what a crash leaves behind then is swept at the next start.

An image removed by force from under a container keeps its layers until the container is gone: its row stays
as a *ghost* (``manifest`` is :data:`GHOST`) that no name and no list shows.
"""

from __future__ import annotations

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

    def all_layers(self) -> list[tuple[str, LayerRow]]:
        """Each layer of each image but ghosts, with the image's id."""
        query = (
            "SELECT i.image, l.chain, l.parent, l.diff, l.directory, l.size, l.blob FROM layers l "
            "JOIN image_layers i ON i.chain = l.chain JOIN images m ON m.id = i.image WHERE m.manifest != ?"
        )
        return [(str(row[0]), LayerRow(*row[1:])) for row in self.db.rows(query, (GHOST,))]

    def chain_used(self, chain: str) -> bool:
        """Whether any image has the layer."""
        return self.db.row("SELECT 1 FROM image_layers WHERE chain = ? LIMIT 1", (chain,)) is not None

    def layer_by_diff(self, diff_id: str) -> LayerRow | None:
        """Any layer with this content; one that has its blob, if there is such a one."""
        row = self.db.row(f"{_LAYER} WHERE l.diff = ? ORDER BY l.blob = '' LIMIT 1", (diff_id,))
        return None if row is None else LayerRow(*row)

    def blob_size(self, digest: str) -> int | None:
        """Size of a blob we keep."""
        row = self.db.row("SELECT size FROM blobs WHERE digest = ?", (digest,))
        return None if row is None else int(row[0])

    def add_blob(self, digest: str, size: int, media: str) -> None:
        """Remember a blob whose file is in place."""
        self.db.execute(
            "INSERT OR IGNORE INTO blobs (digest, size, media) VALUES (?, ?, ?)", (digest, size, media)
        )

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
            kept = {row[0] for row in self.db.rows("SELECT DISTINCT directory FROM layers")}
            sizes = {str(directory): int(size) for directory, size in gone if directory not in kept}
            loose = (
                "FROM blobs WHERE digest NOT IN (SELECT blob FROM layers) "
                "AND digest NOT IN (SELECT manifest FROM images)"
            )
            blobs = [str(row[0]) for row in self.db.rows(f"SELECT digest {loose}")]
            self.db.execute(f"DELETE {loose}")
        return Garbage(sorted(sizes), blobs, sum(sizes.values()))

    def directories(self) -> set[str]:
        """Names below ``layers/`` that have a row."""
        return {str(row[0]) for row in self.db.rows("SELECT DISTINCT directory FROM layers")}

    def blobs(self) -> set[str]:
        """Digests that have a row."""
        return {str(row[0]) for row in self.db.rows("SELECT digest FROM blobs")}
