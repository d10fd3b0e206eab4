"""The whole database, drawn in one place, and the numbered steps that lead to it.

::

    containers   id ─ name (unique) ─ record (JSON: config, host config, image, …) ─ status (JSON)
    images       id (digest of the config) ─ manifest digest ─ config (JSON) ─ size ─ created
    image_refs   name ("docker.io/library/debian:latest", or "…@sha256:…") → image id
    layers       chain id ─ parent chain id ─ diff id ─ directory ─ size ─ blob digest it came from
    image_layers image id × position → chain id           (a layer with no row here is garbage)
    blobs        digest ─ size ─ media type                (files below blobs/sha256)
    distributed  diff id ─ digest, size and type of a blob made of it ─ repository that has that blob
    build_cache  key of a step ─ layer (or none) ─ diff id ─ sizes, times, uses      (keeps its layer)
    build_mounts id of a cache mount ─ directory ─ times, uses
    volumes      name ─ record (JSON)
    networks     id ─ name (unique) ─ record (JSON)
    endpoints    container id × network id ─ address (unique per network) ─ record (JSON)

``PRAGMA user_version`` holds the number of the last migration that was applied. A migration is never edited
once it is released; a change of the schema is a new one.
"""

from __future__ import annotations

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE containers (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        record TEXT NOT NULL,
        status TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE images (
        id TEXT PRIMARY KEY,
        manifest TEXT NOT NULL,
        config TEXT NOT NULL,
        size INTEGER NOT NULL,
        created INTEGER NOT NULL,
        parent TEXT NOT NULL DEFAULT ''
    ) WITHOUT ROWID;
    CREATE TABLE image_refs (
        name TEXT PRIMARY KEY,
        image TEXT NOT NULL REFERENCES images(id) ON DELETE CASCADE,
        tagged INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX image_refs_by_image ON image_refs(image);
    CREATE TABLE layers (
        chain TEXT PRIMARY KEY,
        parent TEXT NOT NULL DEFAULT '',
        diff TEXT NOT NULL,
        directory TEXT NOT NULL,
        size INTEGER NOT NULL,
        blob TEXT NOT NULL DEFAULT ''
    ) WITHOUT ROWID;
    CREATE TABLE image_layers (
        image TEXT NOT NULL REFERENCES images(id) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        chain TEXT NOT NULL REFERENCES layers(chain),
        PRIMARY KEY (image, position)
    ) WITHOUT ROWID;
    CREATE INDEX image_layers_by_chain ON image_layers(chain);
    CREATE TABLE blobs (
        digest TEXT PRIMARY KEY,
        size INTEGER NOT NULL,
        media TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE volumes (
        name TEXT PRIMARY KEY,
        record TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE networks (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        record TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE endpoints (
        container TEXT NOT NULL,
        network TEXT NOT NULL,
        address TEXT NOT NULL,
        record TEXT NOT NULL,
        PRIMARY KEY (container, network),
        UNIQUE (network, address)
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE distributed (
        diff TEXT NOT NULL,
        digest TEXT NOT NULL,
        size INTEGER NOT NULL,
        media TEXT NOT NULL,
        repository TEXT NOT NULL,
        PRIMARY KEY (diff, repository, digest)
    );
    """,
    """
    CREATE TABLE build_cache (
        key TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        description TEXT NOT NULL,
        directory TEXT NOT NULL,
        diff TEXT NOT NULL,
        size INTEGER NOT NULL,
        created INTEGER NOT NULL,
        used INTEGER NOT NULL,
        uses INTEGER NOT NULL,
        unsynced TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX build_cache_by_directory ON build_cache(directory);
    CREATE TABLE build_mounts (
        id TEXT PRIMARY KEY,
        directory TEXT NOT NULL,
        created INTEGER NOT NULL,
        used INTEGER NOT NULL,
        uses INTEGER NOT NULL
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE unsynced (
        name TEXT PRIMARY KEY,
        boot TEXT NOT NULL
    ) WITHOUT ROWID;
    DELETE FROM build_cache WHERE unsynced != '';
    ALTER TABLE build_cache DROP COLUMN unsynced;
    """,
)
