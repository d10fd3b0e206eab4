"""Which of several builds of an image suits: ``os[/architecture[/variant]]`` in Go's words."""

from __future__ import annotations

import os
from dataclasses import dataclass

from wharfie.errors import InvalidArgument

_MACHINES = {
    "x86_64": ("amd64", ""),
    "i386": ("386", ""),
    "i686": ("386", ""),
    "aarch64": ("arm64", "v8"),
    "armv8l": ("arm", "v7"),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "ppc64le": ("ppc64le", ""),
    "s390x": ("s390x", ""),
    "riscv64": ("riscv64", ""),
    "mips64": ("mips64le", ""),
    "loongarch64": ("loong64", ""),
}
_ALIASES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armhf": "arm", "i386": "386"}
_RUNS_TOO = {"amd64": ("386",), "arm64": ("arm",)}


@dataclass(frozen=True, slots=True)
class Platform:
    """One kind of machine."""

    os: str
    architecture: str
    variant: str = ""

    @staticmethod
    def of_host() -> Platform:
        """This machine."""
        machine = os.uname().machine
        architecture, variant = _MACHINES.get(machine, (machine, ""))
        # Docker leaves the only variant of arm64 out
        return Platform("linux", architecture, "" if architecture == "arm64" else variant)

    @staticmethod
    def parse(text: str) -> Platform:
        """``linux/arm64``, ``arm64`` or ``linux``; raises InvalidArgument."""
        parts = text.lower().split("/")
        if not all(parts) or len(parts) > 3:
            raise InvalidArgument(f'"{text}" is an invalid platform: it is os[/architecture[/variant]]')
        if len(parts) == 1:
            own = Platform.of_host()
            if parts[0] == "linux":
                return own
            return Platform("linux", _ALIASES.get(parts[0], parts[0]))
        return Platform(parts[0], _ALIASES.get(parts[1], parts[1]), parts[2] if len(parts) == 3 else "")

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    def rank(self, other: Platform) -> int | None:
        """How well a build for ``other`` runs here: 0 is best, None is not at all."""
        if other.os != self.os:
            return None
        own = "v8" if self.architecture == "arm64" else self.variant
        if other.architecture == self.architecture:
            theirs = other.variant or ("v8" if other.architecture == "arm64" else "")
            if theirs == own or not theirs or not own:
                return 0
            # arm: v7 runs what is built for v6; amd64: v3 is more than v1
            return 1 if theirs < own else None
        if other.architecture in _RUNS_TOO.get(self.architecture, ()):
            return 9
        return None
