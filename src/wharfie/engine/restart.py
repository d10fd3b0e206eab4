"""Restart policies: after an exit, does the container start again, and when?

As Docker does: the wait is 100 ms at first, doubles with every restart up to a minute, and begins anew once
the container ran for ten seconds. Somebody who stops or kills a container wins over every policy.
"""

from __future__ import annotations

from typing import NamedTuple

from wharfie.errors import InvalidArgument
from wharfie.wire.config import RestartPolicy

FIRST_WAIT_MS = 100
LONGEST_WAIT_MS = 60_000
LONG_RUN_NS = 10_000_000_000
POLICIES = ("no", "always", "on-failure", "unless-stopped")


class InvalidRestartPolicy(InvalidArgument):
    """A policy that is none, or at odds with itself."""


class Decision(NamedTuple):
    """Whether to start again, and after how many milliseconds."""

    restart: bool
    wait_ms: int


NO = Decision(False, 0)


def validate(policy: RestartPolicy) -> None:
    """Raises InvalidRestartPolicy, in Docker's words."""
    count = policy.maximum_retry_count
    if policy.name in ("always", "no", "unless-stopped", ""):
        if count > 0:
            problem = "maximum retry count can only be used with 'on-failure'"
            if policy.name == "":
                problem = "maximum retry count can only be used with 'on-failure', and no policy is given"
            raise InvalidRestartPolicy(f"invalid restart policy: {problem}")
        if count < 0:
            raise InvalidRestartPolicy("invalid restart policy: maximum retry count cannot be negative")
        return
    if policy.name == "on-failure":
        if count < 0:
            raise InvalidRestartPolicy("invalid restart policy: maximum retry count cannot be negative")
        return
    raise InvalidRestartPolicy(
        f"invalid restart policy: unknown policy '{policy.name}'; use one of 'no', 'always', 'on-failure', "
        "or 'unless-stopped'"
    )


def next_wait(previous_ms: int, ran_ns: int) -> int:
    """Milliseconds to wait before the next start."""
    if ran_ns >= LONG_RUN_NS or previous_ms <= 0:
        return FIRST_WAIT_MS
    return min(previous_ms * 2, LONGEST_WAIT_MS)


def after_exit(
    policy: RestartPolicy,
    *,
    exit_code: int,
    manually_stopped: bool,
    restart_count: int,
    previous_ms: int,
    ran_ns: int,
) -> Decision:
    """What the policy says when a container has ended."""
    if manually_stopped:
        return NO
    again = Decision(True, next_wait(previous_ms, ran_ns))
    if policy.name in ("always", "unless-stopped"):
        return again
    if policy.name == "on-failure" and exit_code != 0:
        limit = policy.maximum_retry_count
        return again if limit == 0 or restart_count < limit else NO
    return NO


def at_daemon_start(
    policy: RestartPolicy, *, was_active: bool, manually_stopped: bool, exit_code: int
) -> bool:
    """Whether a container that does not run is started together with the daemon.

    ``was_active``: it ran, or waited for a restart, when the daemon was last there.
    """
    if policy.name == "always":
        # a container never started stays as it was made
        return was_active or manually_stopped
    if policy.name == "unless-stopped":
        return was_active and not manually_stopped
    if policy.name == "on-failure":
        return was_active and exit_code != 0 and not manually_stopped
    return False
