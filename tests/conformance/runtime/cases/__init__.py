"""All cases, by what they are about."""

from __future__ import annotations

from tests.conformance.runtime.cases import (
    capabilities,
    cgroups,
    consoles,
    devices,
    hooks,
    lifecycle,
    linux,
    mountoptions,
    mounts,
    namespaces,
    networkdevices,
    process,
    rootless,
    seccomp,
)

CASES = [
    *process.CASES,
    *capabilities.CASES,
    *consoles.CASES,
    *mounts.CASES,
    *mountoptions.CASES,
    *namespaces.CASES,
    *networkdevices.CASES,
    *devices.CASES,
    *cgroups.CASES,
    *seccomp.CASES,
    *linux.CASES,
    *hooks.CASES,
    *lifecycle.CASES,
    *rootless.CASES,
]
