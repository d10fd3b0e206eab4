"""Which capabilities a container gets: Docker's fourteen, changed by ``--cap-add`` and ``--cap-drop``.

Nobody can give what he has not: the result is intersected with the engine's own bounding set.
"""

from __future__ import annotations

from collections.abc import Sequence

from wharfie.errors import InvalidArgument
from wharfie.spec.capabilities import DEFAULT, NAMES, NUMBERS

_ALL = "ALL"


def normalise(names: Sequence[str] | None, field: str) -> list[str]:
    """Capabilities in their full names; raises InvalidArgument, which names the request's ``field``."""
    found = []
    for given in names or ():
        name = given.upper()
        if name != _ALL and not name.startswith("CAP_"):
            name = f"CAP_{name}"
        if name == f"CAP_{_ALL}":
            name = _ALL
        if name != _ALL and name not in NUMBERS:
            raise InvalidArgument(f'invalid {field}: unknown capability: "{name}"')
        found.append(name)
    return found


def effective(
    add: Sequence[str] | None, drop: Sequence[str] | None, *, privileged: bool, bounding: int
) -> list[str]:
    """The capabilities, in the kernel's order."""
    added, dropped = set(normalise(add, "CapAdd")), set(normalise(drop, "CapDrop"))
    if privileged:
        wanted = set(NAMES)
    elif _ALL in added:
        wanted = set(NAMES) - dropped
    elif _ALL in dropped:
        wanted = added
    else:
        wanted = (set(DEFAULT) - dropped) | added
    return [name for number, name in enumerate(NAMES) if name in wanted and bounding >> number & 1]


def process_sets(names: list[str]) -> dict[str, list[str]]:
    """The ``capabilities`` of an OCI process: nothing inheritable or ambient (CVE-2022-27649)."""
    return {"bounding": names, "effective": names, "permitted": names}
