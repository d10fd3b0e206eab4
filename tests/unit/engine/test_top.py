"""Process tables in Docker's form."""

from __future__ import annotations

import os
import time

import pytest

from wharfie.engine import top
from wharfie.errors import InternalError, InvalidArgument

PS = """UID          PID    PPID  C STIME TTY          TIME CMD
root           1       0  0 20:45 ?        00:00:08 /sbin/init splash
root          42       1  0 20:45 ?        00:00:00 sleep  100   seconds
root          43       1  0 20:45 ?        00:00:00 sh
"""


def test_lines_of_the_containers_processes_are_kept() -> None:
    titles, processes = top.parse(PS, {42})
    assert titles == top.TITLES
    assert processes == [["root", "42", "1", "0", "20:45", "?", "00:00:00", "sleep 100 seconds"]]


def test_threads_go_with_their_process() -> None:
    output = "PID TTY CMD\n7 ? a\n- ? thread of a\n8 ? b\n- ? thread of b\n"
    assert top.parse(output, {8})[1] == [["8", "?", "b"], ["-", "?", "thread of b"]]


def test_output_without_pids_is_of_no_use() -> None:
    with pytest.raises(InternalError, match="Couldn't find PID field in ps output"):
        top.parse("CMD\nsh\n", {1})
    with pytest.raises(InternalError, match="Unexpected pid 'x'"):
        top.parse("PID\nx\n", {1})


@pytest.mark.parametrize("arguments", ["-ef -o uid=PID", "-o pid -o comm=PID", "ax -o args=PIDX"])
def test_another_column_under_pids_name_is_refused(arguments: str) -> None:
    with pytest.raises(InvalidArgument, match="is not allowed"):
        top.check_arguments(arguments)


@pytest.mark.parametrize("arguments", ["-ef", "aux", "-o pid,comm", "-o pid=PID", "-eo pid,args"])
def test_usual_arguments_pass(arguments: str) -> None:
    top.check_arguments(arguments)


def test_our_own_row_is_what_ps_shows() -> None:
    reader, writer = os.pipe()
    pid = os.posix_spawnp("sleep", ["sleep", "60"], os.environ)
    try:
        shown = os.posix_spawnp(
            "ps", ["ps", "-f", "-q", str(pid)], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, writer, 1)]
        )
        os.close(writer)
        with os.fdopen(reader) as output:
            _, expected = top.parse(output.read(), {pid})
        os.waitpid(shown, 0)
        (found,) = top.full_listing([pid])
        # the fifth column is a minute, which may just have changed
        assert [*found[:4], *found[5:]] == [*expected[0][:4], *expected[0][5:]]
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)


def test_a_process_that_is_gone_is_left_out() -> None:
    pid = os.posix_spawnp("true", ["true"], os.environ)
    os.waitpid(pid, 0)
    assert top.full_listing([pid]) == []


def test_times() -> None:
    now = time.mktime((2026, 6, 15, 12, 0, 0, 0, 0, -1))
    assert top.start_text(now - 3600, now) == "11:00"
    assert top.start_text(now - 40 * 86400, now) == "May06"
    assert top.start_text(now - 400 * 86400, now) == "2025"
    assert top.time_text(8) == "00:00:08"
    assert top.time_text(90061) == "1-01:01:01"


def test_terminals() -> None:
    assert [top.terminal(number) for number in (0, 136 << 8, 136 << 8 | 7, 4 << 8 | 1, 4 << 8 | 64)] == [
        "?",
        "pts/0",
        "pts/7",
        "tty1",
        "ttyS0",
    ]


async def test_arguments_that_ps_refuses_give_its_words() -> None:
    with pytest.raises(InternalError, match=r"^ps: error: "):
        await top._run_ps(["--nonsense"], [1])


async def test_arguments_that_exclude_a_list_of_processes_still_work() -> None:
    titles, processes = top.parse(await top._run_ps(["-e", "-o", "pid,comm"], [os.getpid()]), {os.getpid()})
    assert titles == ["PID", "COMMAND"]
    assert [row[0] for row in processes] == [str(os.getpid())]
