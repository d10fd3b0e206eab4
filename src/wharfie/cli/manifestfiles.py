"""Lists of manifests that are being made: Docker's files, so that either command line goes on with them.

::

    ~/.docker/manifests/<list>/<manifest>     ":" written as "-" and "/" as "_" in both names

A file is JSON: ``Ref``, ``Descriptor`` (with the platform), the manifest as ``Raw`` (base64) and decoded.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
from typing import Any

from wharfie.cli.errors import CommandError
from wharfie.cli.pulling import full_name
from wharfie.cli.references import validate
from wharfie.client.references import with_tag
from wharfie.support.files import atomic_write

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
Item = dict[str, Any]


def full(name: str) -> str:
    """The whole name; raises InvalidReference."""
    validate(name)
    return with_tag(full_name(name))


def _file(name: str) -> str:
    return full(name).replace(":", "-").replace("/", "_")


class Lists:
    """All lists of one user."""

    def __init__(self, config_directory: str) -> None:
        self._root = os.path.join(config_directory, "manifests")

    def _directory(self, name: str) -> str:
        return os.path.join(self._root, _file(name))

    def exists(self, name: str) -> bool:
        """Whether there is a list of this name."""
        return os.path.isdir(self._directory(name))

    def load(self, name: str, member: str) -> Item | None:
        """One manifest of a list."""
        return self._read(os.path.join(self._directory(name), _file(member)))

    def load_all(self, name: str) -> list[Item]:
        """All of them, in the order of their names; empty without such a list."""
        directory = self._directory(name)
        if not os.path.isdir(directory):
            return []
        found = [self._read(os.path.join(directory, file)) for file in sorted(os.listdir(directory))]
        return [item for item in found if item is not None]

    @staticmethod
    def _read(path: str) -> Item | None:
        try:
            with open(path, encoding="utf-8") as file:
                item: Item = json.load(file)
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise CommandError(f"{path} is no manifest: {error}") from None
        return item

    def save(self, name: str, member: str, item: Item) -> None:
        """Put a manifest into a list."""
        directory = self._directory(name)
        os.makedirs(directory, mode=0o755, exist_ok=True)
        atomic_write(os.path.join(directory, _file(member)), json.dumps(item).encode(), mode=0o644)

    def remove(self, name: str) -> bool:
        """Delete a list; whether there was one."""
        if not self.exists(name):
            return False
        shutil.rmtree(self._directory(name))
        return True


def with_details(item: Item) -> Item:
    """A manifest as the daemon gives it, decoded as well."""
    document = json.loads(base64.b64decode(item["Raw"]))
    kind = "OCIManifest" if item["Descriptor"]["mediaType"] == OCI_MANIFEST else "SchemaV2Manifest"
    return {"Ref": item["Ref"], "Descriptor": item["Descriptor"], "Raw": item["Raw"], kind: document}


def index_of(items: list[Item]) -> Item:
    """The list itself: OCI's when all its manifests are, Docker's otherwise."""
    entries = []
    for item in items:
        descriptor = item["Descriptor"]
        platform = descriptor.get("platform") or {}
        if not platform.get("architecture") or not platform.get("os"):
            raise CommandError(
                f"manifest {item['Ref']} must have an OS and Architecture to be pushed to a registry"
            )
        entries.append({name: descriptor[name] for name in ("mediaType", "size", "digest", "platform")})
    oci = all(entry["mediaType"] == OCI_MANIFEST for entry in entries)
    return {"schemaVersion": 2, "mediaType": OCI_INDEX if oci else DOCKER_LIST, "manifests": entries}
