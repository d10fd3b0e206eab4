"""One line of comma-separated values, as Docker reads options such as ``--output`` (RFC 4180, in Go's words).

A field that begins with a quote goes on to the next single quote, commas in it included; two quotes in it are
one. Anywhere else a quote is an error.
"""

from __future__ import annotations


def split(text: str) -> list[str]:
    """The fields; raises ValueError with Docker's message."""
    found: list[str] = []
    at = 0
    while True:
        if text.startswith('"', at):
            field, at = _quoted(text, at)
        else:
            end = text.find(",", at)
            end = len(text) if end < 0 else end
            field = text[at:end]
            if '"' in field:
                raise _wrong(text, at + field.index('"'), 'bare " in non-quoted-field')
            at = end
        found.append(field)
        if at >= len(text):
            return found
        at += 1  # the comma


def _quoted(text: str, start: int) -> tuple[str, int]:
    """The field that begins with the quote at ``start``, and where its comma is."""
    parts = []
    at = start + 1
    while True:
        end = text.find('"', at)
        if end < 0:
            raise _wrong(text, len(text), 'extraneous or missing " in quoted-field')
        parts.append(text[at:end])
        if text.startswith('"', end + 1):
            parts.append('"')
            at = end + 2
            continue
        if end + 1 < len(text) and text[end + 1] != ",":
            raise _wrong(text, end, 'extraneous or missing " in quoted-field')
        return "".join(parts), end + 1


def _wrong(text: str, at: int, what: str) -> ValueError:
    column = len(text[:at].encode("utf-8", "surrogateescape")) + 1
    return ValueError(f"parse error on line 1, column {column}: {what}")
