"""``--egress allow=example.com,10.0.0.0/8``: what a container may reach, by name, address or prefix.

Names are allowed with all below them; what the embedded DNS answers for them is let through for as long as
the answer is good. Everything else is refused, and told as an event.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from wharfie.errors import InvalidArgument

_NAME = re.compile(
    r"(?:\*\.)?[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*\.?"
)


@dataclass(frozen=True, slots=True)
class Egress:
    """An allow-list."""

    prefixes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


def parse(text: str) -> Egress:
    """Read it: ``allow=…``, or ``allow=`` for nothing at all. Raises InvalidArgument."""
    key, equals, rest = text.partition("=")
    if key != "allow" or not equals:
        raise InvalidArgument(f"invalid egress list {text}: it must begin with allow=")
    prefixes, names = [], []
    for item in filter(None, (part.strip() for part in rest.split(","))):
        try:
            prefixes.append(str(ipaddress.ip_network(item, strict=False)))
            continue
        except ValueError:
            pass  # no address: a name, perhaps
        name = item.lower()
        if not _NAME.fullmatch(name) or len(name) > 253 or name.replace(".", "").isdigit() or "/" in name:
            raise InvalidArgument(f"invalid egress list {text}: {item} is no name, address or prefix")
        names.append(name.removeprefix("*.").rstrip("."))
    return Egress(tuple(prefixes), tuple(names))


def joined(*texts: str) -> Egress | None:
    """Several lists together (the container's and its networks'); None when there is none."""
    lists = [parse(text) for text in texts if text and text != "none"]
    if not lists:
        return None
    prefixes = dict.fromkeys(prefix for one in lists for prefix in one.prefixes)
    return Egress(_merged(tuple(prefixes)), tuple(dict.fromkeys(name for one in lists for name in one.names)))


def _merged(prefixes: tuple[str, ...]) -> tuple[str, ...]:
    """Without overlaps: an interval set holds none."""
    four = [ipaddress.IPv4Network(prefix) for prefix in prefixes if ":" not in prefix]
    six = [ipaddress.IPv6Network(prefix) for prefix in prefixes if ":" in prefix]
    return (*map(str, ipaddress.collapse_addresses(four)), *map(str, ipaddress.collapse_addresses(six)))
