"""Seccomp programs by what they depend on, so that a start neither resolves nor hashes a profile again."""

from __future__ import annotations

from wharfie.engine.oci.security import Security, seccomp
from wharfie.runtime.seccomp_cache import ProgramCache


class Filters:
    """Paths of compiled programs."""

    def __init__(self, programs: ProgramCache, default_profile: str) -> None:
        self._programs = programs
        self._default_profile = default_profile
        self._paths: dict[tuple[str, tuple[str, ...]], str] = {}

    def path(self, security: Security, capabilities: list[str], *, privileged: bool) -> str | None:
        """The program's file; None for no filter. Raises InvalidArgument for a bad profile."""
        if not security.seccomp and privileged:
            return None
        key = (security.seccomp, tuple(capabilities))
        known = self._paths.get(key)
        if known is not None:
            return known
        rules = seccomp(
            security,
            privileged=privileged,
            capabilities=capabilities,
            default_profile=self._default_profile,
        )
        if rules is None:
            return None
        path = self._programs.path(rules)
        self._paths[key] = path
        return path
