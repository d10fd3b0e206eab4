"""Ulimits: a container's own, and the daemon's defaults.

An engine without CAP_SYS_RESOURCE cannot raise a hard limit above its own (setrlimit(2)): a *default* is then
lowered to what it can give, and what somebody asked for in so many words is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wharfie.engine.oci.host import Host
from wharfie.errors import InvalidArgument
from wharfie.spec.rlimits import NUMBERS
from wharfie.wire.config import Ulimit

_INFINITY = (1 << 64) - 1


class LimitTooHigh(InvalidArgument):
    """A hard limit above the engine's own, which it may not raise."""


def check_ulimits(ulimits: Sequence[Ulimit], host: Host) -> None:
    """Raises InvalidArgument for a name that is none, and for a soft limit above the hard one."""
    for limit in ulimits:
        if _name(limit) not in NUMBERS:
            raise InvalidArgument(f"invalid ulimit type: {limit.name}")
        if _value(limit.soft) > _value(limit.hard):
            raise InvalidArgument(
                f"ulimit soft limit must be less than or equal to hard limit: {limit.soft} > {limit.hard}"
            )


def rlimits(
    asked: Sequence[Ulimit] | None, defaults: Mapping[str, Ulimit], host: Host
) -> list[dict[str, Any]]:
    """``process.rlimits``; raises LimitTooHigh."""
    found: dict[str, dict[str, Any]] = {}
    for limit in defaults.values():
        name = _name(limit)
        hard = _value(limit.hard)
        if not host.raise_limits:
            hard = min(hard, _own(host, name))
        found[name] = {"type": name, "hard": hard, "soft": min(_value(limit.soft), hard)}
    for limit in asked or ():
        name = _name(limit)
        hard = _value(limit.hard)
        if not host.raise_limits and hard > _own(host, name):
            raise LimitTooHigh(
                "failed to create task for container: failed to create shim task: OCI runtime create failed: "
                "unable to start container process: error during container init: error setting rlimits for "
                f"ready process: error setting rlimit type {NUMBERS[name]}: operation not permitted "
                f"(the engine's own hard limit of {limit.name} is {_own(host, name)})"
            )
        found[name] = {"type": name, "hard": hard, "soft": _value(limit.soft)}
    return list(found.values())


def _name(limit: Ulimit) -> str:
    return f"RLIMIT_{limit.name.upper()}"


def _value(number: int) -> int:
    return _INFINITY if number < 0 else number


def _own(host: Host, name: str) -> int:
    return _value(host.rlimit(NUMBERS[name])[1])
