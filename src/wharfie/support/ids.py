"""Identifiers as Docker makes them: 256 random bits in hexadecimal, shown by their first twelve digits."""

from __future__ import annotations

import posix as os

SHORT = 12
_HEX = frozenset("0123456789abcdef")


def random_hex(digits: int) -> str:
    """``digits`` random hexadecimal digits."""
    return os.urandom((digits + 1) // 2).hex()[:digits]


def new_id() -> str:
    """A new 64-digit id, never all decimal digits in its short form.

    The short form becomes a host name, and a host name of digits alone is read as a number by some resolvers.
    """
    while True:
        candidate = random_hex(64)
        if not candidate[:SHORT].isdigit():
            return candidate


def short_id(identifier: str) -> str:
    """The twelve digits people are shown, of an id with or without ``sha256:``."""
    return identifier.removeprefix("sha256:")[:SHORT]


def is_hex(text: str) -> bool:
    """Whether ``text`` consists of lower-case hexadecimal digits only (and is not empty)."""
    return bool(text) and _HEX.issuperset(text)
