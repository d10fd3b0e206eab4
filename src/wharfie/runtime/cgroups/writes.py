"""What planning limits yields: writes to control files, each known by the option a person gave."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    # reads a control file of the group: (controller, file) -> content, "" where there is none
    Reader = Callable[[str, str], str]


class Write:
    """One write: which controller's file, what, and the option."""

    __slots__ = ("controller", "file", "option", "value")

    def __init__(self, controller: str, file: str, value: str, option: str) -> None:
        self.controller = controller
        self.file = file
        self.value = value
        self.option = option


def rdma_writes(resources: dict[str, Any]) -> list[Write]:
    """``linux.resources.rdma``, which is the same on both versions."""
    writes = []
    for device, limits in (resources.get("rdma") or {}).items():
        given = limits or {}
        parts = [("hca_handle", given.get("hcaHandles")), ("hca_object", given.get("hcaObjects"))]
        value = " ".join([device, *(f"{name}={number}" for name, number in parts if number is not None)])
        writes.append(Write("rdma", "rdma.max", value, "rdma"))
    return writes
