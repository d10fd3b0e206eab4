"""Runs inside the virtual machine: the test file that is named, one line per result to the console."""

from __future__ import annotations

import json
import os
import sys

import pytest

MARK = "@@wharfie "


class Reporter:
    """A pytest plugin that tells the host."""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test's call, or whatever of its preparation and its end went wrong."""
        if report.when == "call" or report.outcome != "passed":
            text = report.longreprtext[-4000:]
            result = {"test": report.nodeid, "outcome": report.outcome, "when": report.when, "text": text}
            tell(result)


def tell(result: dict[str, str]) -> None:
    """A line of its own, in one piece: others write to the console, too."""
    sys.stdout.flush()
    os.write(1, f"\n{MARK}{json.dumps(result)}\n".encode())


if __name__ == "__main__":
    options = [
        *("-q", "-p", "no:cacheprovider", "--import-mode=importlib", "-c", "/dev/null", "--rootdir=/project"),
        # no conftest.py but this directory's: others need packages that are not here
        "--confcutdir=/project/tests/kernel/cgroups",
    ]
    code = pytest.main([*options, sys.argv[1]], plugins=[Reporter()])
    end = {
        "test": f"all {sys.argv[1]}",
        "outcome": "passed" if code == 0 else f"code {int(code)}",
        "text": "",
    }
    tell(end)
