"""Runs the suite against any runtime: ``python -m tests.conformance.runtime.play RUNTIME [PATTERN]``.

RUNTIME is ``wharfie-runtime`` (this tree's), ``runc``, ``crun``, or the path of another.
"""

from __future__ import annotations

import re
import sys

from tests.conformance.runtime import runtimes
from tests.conformance.runtime.cases import CASES
from tests.conformance.runtime.harness import Program, layout
from tests.conformance.runtime.recording import play_all


def main() -> int:
    """One line for each case that goes wrong, and the score."""
    name = sys.argv[1]
    known = {program.name: program for program in (runtimes.ours(), *runtimes.peers())}
    runtime = known.get(name) or Program(name, name)
    pattern = sys.argv[2] if len(sys.argv) > 2 else ""
    cases = [case for case in CASES if layout() in case.layouts and re.search(pattern, case.name)]
    went = {name: wrong for name, wrong in play_all(runtime, cases).items() if wrong}
    for name, wrong in went.items():
        print(f"FAILED {name}: {wrong}", flush=True)
    print(f"{runtime.name}: {len(cases) - len(went)} passed, {len(went)} failed")
    return 1 if went else 0


if __name__ == "__main__":
    sys.exit(main())
