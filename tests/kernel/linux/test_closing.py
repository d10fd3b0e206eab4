"""All descriptors but one are closed, whichever it is."""

from __future__ import annotations

import os

import pytest

from wharfie.linux.process import close_all_but


@pytest.mark.parametrize(("kept", "first"), [(60, 60), (61, 60), (64, 60), (59, 60)])
def test_one_is_kept(kept: int, first: int) -> None:
    pid = os.fork()
    if not pid:
        status = 1
        try:
            for number in range(59, 66):
                os.dup2(0, number)
            close_all_but(kept, first)
            left = [number for number in range(first, 70) if os.path.exists(f"/proc/self/fd/{number}")]
            status = int(left != ([kept] if kept >= first else []))
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
