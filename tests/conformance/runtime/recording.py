"""What the real runc and crun made of every case: recorded by ``./check peers``, compared by ``./check``."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.conformance.runtime import runtimes
from tests.conformance.runtime.case import Case
from tests.conformance.runtime.cases import CASES
from tests.conformance.runtime.harness import Program, layout, parent_group, play
from tests.conformance.runtime.rootless import Rootless, played_by, stage

FILE = Path(__file__).with_name("recordings.json")
_AT_ONCE = 3


def fingerprint(case: Case) -> str:
    """Changes with the case."""
    text = json.dumps(asdict(case), sort_keys=True, default=sorted)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def attempt(runtime: Program, case: Case, directory: Path, rootless: Path) -> str:
    """Play a case in a directory that is gone afterwards: what went wrong, "" if nothing did."""
    directory.mkdir()
    try:
        if isinstance(case, Rootless):
            play(runtime, case, directory, lambda: played_by(runtime, case, directory, rootless))
        else:
            play(runtime, case, directory)
    except (AssertionError, OSError, ValueError, subprocess.SubprocessError) as error:
        return str(error) or repr(error)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return ""


def play_all(runtime: Program, cases: list[Case]) -> dict[str, str]:
    """How every case went, by name; they wait for processes mostly, so some are played at once."""
    # the root of a user namespace is nobody here, and a test's own directories are for root only
    top = Path(tempfile.mkdtemp(prefix="cases-"))
    top.chmod(0o755)
    with parent_group(), stage() as rootless, ThreadPoolExecutor(_AT_ONCE) as pool:
        played = pool.map(
            lambda job: attempt(runtime, job[1], top / f"c{job[0]}", rootless), enumerate(cases)
        )
        went = {case.name: wrong for case, wrong in zip(cases, played, strict=True)}
    top.rmdir()
    return went


def record() -> dict[str, Any]:
    """Play every case against the peers and write down which of them passed."""
    cases = [case for case in CASES if layout() in case.layouts]
    found: dict[str, Any] = {}
    for runtime in runtimes.peers():
        went = play_all(runtime, cases)
        found[runtime.name] = {
            "version": runtimes.version(runtime),
            "cases": {case.name: [fingerprint(case), not went[case.name]] for case in cases},
        }
    FILE.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    return found
