"""What ``RUN`` needs of the engine: one process in a container, without a container that anybody sees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

Output = Callable[[bytes], None]


def cut(data: bytes) -> int:
    """How much of ``data`` can be shown before more comes: no character of UTF-8 is torn."""
    for back, byte in enumerate(reversed(data[-4:]), 1):
        if byte >= 0xC0:
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return len(data) - back if back < length else len(data)
        if byte < 0x80:
            break
    return len(data)


@dataclass(frozen=True, slots=True)
class Bind:
    """A file or directory of the host that the step sees; ``kind`` tmpfs has no source."""

    source: str
    target: str
    writable: bool = False
    kind: str = "bind"
    size: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """What the build's containers may use; all of the build's own options."""

    memory: int = 0
    memory_swap: int = 0
    cpu_shares: int = 0
    cpu_period: int = 0
    cpu_quota: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    shm_size: int = 0
    ulimits: list[tuple[str, int, int]] = field(default_factory=list)
    cgroup_parent: str = ""
    security_opt: list[str] = field(default_factory=list)
    isolation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One process to run."""

    id: str
    words: list[str]
    env: list[str]
    user: str
    directory: str
    lower: list[str]
    """Topmost first."""
    upper: str
    work: str
    bundle: str
    """A directory for the files of this step's container."""
    network: str
    """``default``, ``none``, ``host`` or the name of a network."""
    insecure: bool
    binds: list[Bind]
    hosts: list[str]
    limits: Limits
    stdin: bytes = b""


class Runner(Protocol):
    """The engine's side, handed in by the wiring."""

    async def run(self, step: Step, output: Output) -> int:
        """Run it to its end; its exit code. What it made outside of ``upper`` is gone then.

        Raises WharfieError when it cannot be started. Cancelled, the process is killed.
        """
