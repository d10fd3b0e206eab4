"""Kernel parameters that belong to a namespace, by name (namespaces(7))."""

from __future__ import annotations

IPC = frozenset(
    (
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    )
)
"""Those of an IPC namespace, beside ``fs.mqueue.*``."""
UTS = frozenset(("kernel.hostname", "kernel.domainname"))
"""Those of a UTS namespace."""
