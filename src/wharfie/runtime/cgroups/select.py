"""The door to this package: a container's control group in the version this machine has."""

from __future__ import annotations

from wharfie.runtime.cgroups.layout import layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wharfie.runtime.cgroups.base import Cgroup


def open_cgroup(path: str) -> Cgroup:
    """The group at ``path`` below every hierarchy's root; it need not exist yet. Raises CgroupError."""
    found = layout()
    # only the version this machine has is loaded
    if found.mode == "v2":
        from wharfie.runtime.cgroups.v2 import V2Cgroup

        return V2Cgroup(path, found.unified)
    from wharfie.runtime.cgroups.v1 import V1Cgroup

    return V1Cgroup(path, found)
