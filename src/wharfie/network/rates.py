"""``--network-rate in=10mbit,out=5mbit[,burst=64k]``: how fast a container may receive and send."""

from __future__ import annotations

import re
from dataclasses import dataclass

from wharfie.errors import InvalidArgument

_UNITS = {
    "": 1, "bit": 1, "kbit": 1_000, "mbit": 1_000_000, "gbit": 1_000_000_000,
    "bps": 8, "kbps": 8_000, "mbps": 8_000_000, "gbps": 8_000_000_000,
}  # fmt: skip
_SIZES = {"": 1, "b": 1, "k": 1 << 10, "kb": 1 << 10, "m": 1 << 20, "mb": 1 << 20}
_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]+)?)([a-z]*)")
_LEAST, _MOST = 8_000, 100_000_000_000
MINIMUM_BURST = 1 << 14


@dataclass(frozen=True, slots=True)
class Rate:
    """Bytes per second each way, 0 for as fast as it goes; the burst in bytes, 0 for a fitting one."""

    inward: int = 0
    outward: int = 0
    burst: int = 0

    def burst_for(self, rate: int) -> int:
        """As much as may go at once: 10 ms of it, and never less than a large segment."""
        return self.burst or max(1 << 16, rate // 100)


def parse(text: str) -> Rate:
    """Read it; ``none`` or nothing is no limit. Raises InvalidArgument."""
    if text in ("", "none"):
        return Rate()
    found: dict[str, int] = {}
    for part in text.split(","):
        name, equals, value = part.strip().partition("=")
        if name not in ("in", "out", "burst") or not equals:
            raise _invalid(text, f"{part or 'nothing'} is none of in=, out= and burst=")
        if name in found:
            raise _invalid(text, f"{name} is given twice")
        found[name] = _size(value, text) if name == "burst" else _rate(value, text)
    if not found.get("in") and not found.get("out"):
        if "in" in found or "out" in found:
            return Rate()
        raise _invalid(text, "a burst alone limits nothing")
    return Rate(found.get("in", 0), found.get("out", 0), found.get("burst", 0))


def _rate(value: str, text: str) -> int:
    match = _NUMBER.fullmatch(value.lower())
    if match is None or match[2] not in _UNITS:
        raise _invalid(text, f"{value} is no rate such as 10mbit")
    bits = float(match[1]) * _UNITS[match[2]]
    if bits and not _LEAST <= bits <= _MOST:
        raise _invalid(text, f"{value} is not between 8kbit and 100gbit")
    return int(bits / 8)


def _size(value: str, text: str) -> int:
    match = _NUMBER.fullmatch(value.lower())
    if match is None or match[2] not in _SIZES:
        raise _invalid(text, f"{value} is no size such as 64k")
    size = int(float(match[1]) * _SIZES[match[2]])
    if not MINIMUM_BURST <= size <= 1 << 30:
        raise _invalid(text, f"the burst {value} is not between 16k and 1024m")
    return size


def _invalid(text: str, why: str) -> InvalidArgument:
    return InvalidArgument(f"invalid network rate {text}: {why}")
