"""What a conformance case is: a small record that says what to configure, what to run, and what must be seen.

A word between two ``@`` stands for what is known only when the case runs: ``@BUNDLE@`` (its directory),
``@ID@`` (the container's), ``@CGROUP@`` (its ``cgroupsPath``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

ALL_LAYOUTS = frozenset(("v1", "hybrid", "v2"))
ONE = frozenset(("v1", "hybrid"))
TWO = frozenset(("v2",))


@dataclass(frozen=True)
class Step:
    """One command of a case with several: of the runtime (``words``), or of the host's shell."""

    words: tuple[str, ...] = ()
    shell: str = ""
    fails: str | None = None
    """A regular expression of its complaint where it must fail."""
    see: str | None = None
    """Exactly what it writes, blanks at both ends aside."""
    like: str = ""
    """A regular expression that what it writes matches somewhere."""
    json: Any = None
    """What it writes is JSON that has at least this."""
    code: int | None = None
    """Its exit code, 0 unless it must fail."""


@dataclass(frozen=True)
class Case:
    """One case, run to its end by ``run``, or by its ``steps``."""

    name: str
    clause: str
    """The part of the specification that it comes from."""
    change: dict[str, Any] = field(default_factory=dict)
    """Merged into the base configuration: objects member by member, None removes, "+key" appends."""
    probe: str = ""
    """The script that runs inside."""
    see: str | None = None
    like: str = ""
    code: int = 0
    refused: str = ""
    """The runtime must refuse, with a message like this, and leave nothing behind."""
    before: str = ""
    """A script of the host that runs in the bundle first."""
    after: str = ""
    """A script of the host that runs in the bundle afterwards; what it writes is seen, too."""
    always: str = ""
    """A script of the host that runs last, whatever happened, to take back what ``before`` made."""
    options: tuple[str, ...] = ()
    """Of the command that creates."""
    steps: tuple[Step, ...] = ()
    helper: str = ""
    """The name of a companion in ``helpers.py``."""
    rows: tuple[int, int] | None = None
    """Run in a terminal of this many rows and columns."""
    layouts: frozenset[str] = ALL_LAYOUTS
    """The arrangements of control groups it is for."""


def does(*words: str, **wanted: Any) -> Step:
    """A command of the runtime."""
    return Step(words=words, **wanted)


def shell(script: str, **wanted: Any) -> Step:
    """A command of the host."""
    return Step(shell=script, **wanted)


CREATE = does("create", "--bundle", "@BUNDLE@", "@ID@")
START = does("start", "@ID@")
DELETE = does("delete", "@ID@")
FORCE = does("delete", "--force", "@ID@")
KILL = does("kill", "@ID@", "KILL")


def status(wanted: str) -> Step:
    """Wait until the container's status is this (``reach`` in ``harness.py``)."""
    return Step(words=("(until)", wanted))


STOPPED = status("stopped")
END = (KILL, STOPPED, DELETE)
