"""Named daemons, in the files that Docker's ``context`` commands keep them in.

::

    <config>/contexts/meta/<sha256 of the name>/meta.json     name, description, endpoint
    <config>/contexts/tls/<sha256 of the name>/docker/*.pem   what a TLS endpoint needs
    <config>/wharfie-context                                  the name that is current

Both programs see the same contexts. Which one is current is kept apart: what Docker's command line points at
by default is hardly ever a wharfie.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass, field
from typing import Any

from wharfie.client.address import Address
from wharfie.client.endpoint import CURRENT, DEFAULT, current_name
from wharfie.client.errors import BadContext
from wharfie.support.files import atomic_write

FILES = {"ca": "ca.pem", "cert": "cert.pem", "key": "key.pem"}
"""The files of a TLS endpoint, by what the command line calls them."""
LIMIT = 10 << 20
"""Bytes of a file to be taken over."""
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.+-]+\Z")


@dataclass(slots=True)
class Named:
    """One context."""

    name: str
    host: str
    description: str = ""
    skip_verify: bool = False
    rest: dict[str, Any] = field(default_factory=dict)
    """What another program keeps in the document."""


def validate(name: str) -> None:
    """Raises BadContext."""
    if name == DEFAULT:
        raise BadContext('"default" is a reserved context name')
    if not _NAME.match(name):
        raise BadContext(
            f'context name "{name}" is invalid, names are validated against regexp '
            '"^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$"'
        )


def address_of(directory: str, name: str) -> Address:
    """Where the daemon of a context is, and how; raises BadContext, InvalidHost."""
    store = ContextStore(directory)
    found = store.get(name)
    address = Address(found.host or None)
    files = store.files(name)
    if address.port and (files or found.skip_verify):
        from wharfie.client.tls import Tls

        place = f"{store.tls(name)}/docker"
        paths = [f"{place}/{file}" if file in files else "" for file in FILES.values()]
        address.secure(Tls(*paths, verify=not found.skip_verify))
    return address


class ContextStore:
    """The contexts of one directory of settings."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def meta(self, name: str) -> str:
        """The directory of a context's document."""
        return f"{self._directory}/contexts/meta/{hashlib.sha256(name.encode()).hexdigest()}"

    def tls(self, name: str) -> str:
        """The directory of a context's keys and certificates."""
        return f"{self._directory}/contexts/tls/{hashlib.sha256(name.encode()).hexdigest()}"

    def names(self) -> list[str]:
        """All, in order."""
        try:
            found = os.listdir(f"{self._directory}/contexts/meta")
        except FileNotFoundError:
            return []
        read = (self._document(f"{self._directory}/contexts/meta/{one}") for one in found)
        return sorted(document["Name"] for document in read if document)

    def get(self, name: str) -> Named:
        """Raises BadContext if there is none of this name."""
        document = self._document(self.meta(name))
        if document is None:
            raise BadContext(f'context "{name}": context not found: open {self.meta(name)}/meta.json: '
                               "no such file or directory")  # fmt: skip
        endpoint = (document.get("Endpoints") or {}).get("docker") or {}
        return Named(
            name,
            str(endpoint.get("Host") or ""),
            str((document.get("Metadata") or {}).get("Description") or ""),
            bool(endpoint.get("SkipTLSVerify")),
            document,
        )

    def put(self, context: Named) -> None:
        """Write it, new or changed."""
        document = {**context.rest, "Name": context.name}
        metadata = {**(document.get("Metadata") or {}), "Description": context.description}
        document["Metadata"] = {name: value for name, value in metadata.items() if value}
        endpoint = {"Host": context.host, "SkipTLSVerify": context.skip_verify}
        document["Endpoints"] = {**(document.get("Endpoints") or {}), "docker": endpoint}
        os.makedirs(self.meta(context.name), mode=0o755, exist_ok=True)
        data = json.dumps(document, separators=(",", ":")).encode()
        atomic_write(f"{self.meta(context.name)}/meta.json", data, mode=0o644)

    def remove(self, name: str) -> None:
        """Raises BadContext if there is none."""
        self.get(name)
        shutil.rmtree(self.meta(name))
        if os.path.isdir(self.tls(name)):
            shutil.rmtree(self.tls(name))

    def files(self, name: str) -> list[str]:
        """Names of the files of a TLS endpoint."""
        try:
            return sorted(os.listdir(f"{self.tls(name)}/docker"))
        except FileNotFoundError:
            return []

    def contents(self, name: str) -> dict[str, bytes]:
        """These files."""
        found = {}
        for file in self.files(name):
            with open(f"{self.tls(name)}/docker/{file}", "rb") as opened:
                found[file] = opened.read(LIMIT)
        return found

    def keep_files(self, name: str, files: dict[str, bytes]) -> None:
        """Have exactly these files of a TLS endpoint, readable by this user alone."""
        if os.path.isdir(self.tls(name)):
            shutil.rmtree(self.tls(name))
        if files:
            os.makedirs(f"{self.tls(name)}/docker", mode=0o700)
        for file, data in files.items():
            atomic_write(f"{self.tls(name)}/docker/{file}", data)

    def current(self) -> str:
        """The name that ``use`` was given last."""
        return current_name(self._directory)

    def use(self, name: str) -> None:
        """Make it current; raises BadContext if there is none."""
        place = f"{self._directory}/{CURRENT}"
        if name == DEFAULT:
            if os.path.exists(place):
                os.unlink(place)
            return
        self.get(name)
        atomic_write(place, f"{name}\n".encode(), mode=0o644)

    @staticmethod
    def _document(directory: str) -> dict[str, Any] | None:
        try:
            with open(f"{directory}/meta.json", "rb") as file:
                value = json.load(file)
        except FileNotFoundError:
            return None
        except (ValueError, OSError) as error:
            raise BadContext(f"the context in {directory} cannot be read: {error}") from None
        return value if isinstance(value, dict) and isinstance(value.get("Name"), str) else None
