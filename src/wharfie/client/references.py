"""Image references in parts, as far as a client has to know them."""

from __future__ import annotations


def split(text: str) -> tuple[str, str, str]:
    """Name, tag and digest; the last two may be empty."""
    name, _, digest = text.partition("@")
    slash = name.rfind("/")
    colon = name.rfind(":")
    if colon > slash:
        return name[:colon], name[colon + 1 :], digest
    return name, "", digest


def with_tag(text: str) -> str:
    """The reference with ``:latest`` when it has neither tag nor digest."""
    _, tag, digest = split(text)
    return text if tag or digest else f"{text}:latest"
