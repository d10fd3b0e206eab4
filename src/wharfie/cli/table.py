"""Docker's tables: columns at least ten wide, three blanks between them, the last one not padded."""

from __future__ import annotations

_LEAST = 10
_PADDING = 3


def table(rows: list[list[str]], least: int = _LEAST) -> str:
    """Aligned lines, each ended."""
    count = max((len(row) for row in rows), default=0)
    widths = [
        max(least, max(len(row[column]) for row in rows if len(row) > column) + _PADDING)
        for column in range(count)
    ]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)]
        lines.append("".join([*cells, *row[-1:]]) + "\n")
    return "".join(lines)


def ellipsis(text: str, length: int) -> str:
    """The text, cut with an ellipsis where it is longer."""
    return text if len(text) <= length else text[: length - 1] + "…"


def natural(text: str) -> list[tuple[bool, int, str]]:
    """A key to sort by: numbers in a name count as numbers."""
    parts, digits = [""], False
    for character in text:
        if (character.isascii() and character.isdigit()) != digits and parts[-1]:
            parts.append("")
        digits = character.isascii() and character.isdigit()
        parts[-1] += character
    return [(not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]


def quoted(text: str) -> str:
    """In double quotes, as Go's ``strconv.Quote``."""
    out = ['"']
    for character in text:
        if character in '"\\':
            out.append("\\" + character)
        elif character.isprintable():
            out.append(character)
        else:
            known = {
                "\n": "\\n",
                "\t": "\\t",
                "\r": "\\r",
                "\a": "\\a",
                "\b": "\\b",
                "\f": "\\f",
                "\v": "\\v",
            }
            out.append(
                known.get(
                    character,
                    f"\\x{ord(character):02x}" if ord(character) < 128 else f"\\u{ord(character):04x}",
                )
            )
    out.append('"')
    return "".join(out)
