"""Names of images, by Docker's rules.

``[domain[:port]/]path[:tag][@algorithm:hex]``. What people write is *familiar* (``debian``, ``me/tool:1``);
what we store is *canonical* (``docker.io/library/debian:latest``). The first part is a domain if it has a dot
or a colon, is ``localhost``, or has an upper-case letter (no path may have one); otherwise the domain is
``docker.io``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from wharfie.errors import InvalidArgument
from wharfie.support.ids import is_hex

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"
NAME_LIMIT = 255

_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*\Z")
_DOMAIN = re.compile(
    r"(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
    r"(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?\Z"
)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z|sha512:[0-9a-f]{128}\Z")


class InvalidReference(InvalidArgument):
    """A name that no image can have."""


@dataclass(frozen=True, slots=True)
class Reference:
    """One parsed name; ``tag`` and ``digest`` are empty where the text had none."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """The canonical repository: ``docker.io/library/debian``."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar_name(self) -> str:
        """The repository as people write it: ``debian``."""
        if self.domain != DEFAULT_DOMAIN:
            return self.name
        rest = self.path.removeprefix("library/")
        return self.path if "/" in rest else rest

    @property
    def canonical(self) -> str:
        """The whole name, as the catalog stores it."""
        return self.name + self._suffix()

    @property
    def familiar(self) -> str:
        """The whole name, as people are shown it."""
        return self.familiar_name + self._suffix()

    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    def with_default_tag(self) -> Reference:
        """The same, with ``latest`` when it names neither tag nor digest."""
        return self if self.tag or self.digest else Reference(self.domain, self.path, DEFAULT_TAG)

    def with_tag(self, tag: str) -> Reference:
        """The repository with another tag; raises InvalidReference."""
        if not _TAG.match(tag):
            raise InvalidReference("invalid tag format")
        return Reference(self.domain, self.path, tag)

    def with_digest(self, digest: str) -> Reference:
        """The repository with a digest instead of a tag; raises InvalidReference."""
        if not is_digest(digest):
            raise InvalidReference("invalid digest format")
        return Reference(self.domain, self.path, "", digest)


def is_digest(text: str) -> bool:
    """Whether ``text`` is ``sha256:<64 digits>`` or ``sha512:<128 digits>``."""
    return _DIGEST.match(text) is not None


def is_image_id(text: str) -> bool:
    """Whether ``text`` is a full image id, with or without ``sha256:``."""
    digits = text.removeprefix("sha256:")
    return len(digits) == 64 and is_hex(digits)


def parse(text: str) -> Reference:
    """Parse what a person wrote.

    Raises:
        InvalidReference: with the words of Docker.
    """
    if len(text) == 64 and is_hex(text):
        raise InvalidReference(
            f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings"
        )
    rest, at, digest = text.partition("@")
    if at and not is_digest(digest):
        raise InvalidReference("invalid reference format")
    domain, path = _split_domain(rest)
    tag = ""
    colon = path.rfind(":")
    if colon >= 0:
        path, tag = path[:colon], path[colon + 1 :]
        if not _TAG.match(tag):
            raise InvalidReference("invalid reference format")
    if path.lower() != path:
        raise InvalidReference(f"invalid reference format: repository name ({path}) must be lowercase")
    if not _DOMAIN.match(domain) or not all(_COMPONENT.match(part) for part in path.split("/")):
        raise InvalidReference("invalid reference format")
    if len(domain) + 1 + len(path) > NAME_LIMIT:
        raise InvalidReference(f"repository name must not be more than {NAME_LIMIT} characters")
    return Reference(domain, path, tag, digest)


def _split_domain(text: str) -> tuple[str, str]:
    head, slash, tail = text.partition("/")
    is_domain = slash and ("." in head or ":" in head or head == "localhost" or head.lower() != head)
    domain, path = (head, tail) if is_domain else (DEFAULT_DOMAIN, text)
    if domain == "index.docker.io":
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and "/" not in path:
        path = "library/" + path
    return domain, path
