"""What a build tells those who watch, and how much of it waits for one who is slow."""

from __future__ import annotations

from wharfie.buildkit.steps import ranges
from wharfie.buildkit.vertexes import Board

MIB = 1 << 20


async def test_output_that_nobody_takes_is_clipped_and_nothing_else() -> None:
    board = Board("ref")
    watching = board.watch()
    vertex = board.vertex("RUN yes").start()
    assert (await anext(watching)).vertexes[0].name == "RUN yes"
    for turn in range(40):
        vertex.log(b"y" * MIB)
        vertex.status(str(turn))
    vertex.end()
    board.close()
    found = [message async for message in watching]
    logs = [log.message for message in found for log in message.logs]
    assert len(logs) == 17
    assert b"clipped" in logs[-1]
    assert [one.id for message in found for one in message.statuses] == [str(turn) for turn in range(40)]
    assert found[-1].vertexes[0].HasField("completed")


async def test_who_takes_it_gets_all_of_it() -> None:
    board = Board("ref")
    watching = board.watch()
    vertex = board.vertex("RUN yes").start()
    await anext(watching)
    for _ in range(40):
        vertex.log(b"y" * MIB)
        assert len((await anext(watching)).logs[0].message) == MIB


def test_of_an_instruction_without_end_the_first_lines_are_told() -> None:
    assert [one.start.line for one in ranges(5, 6)] == [5, 6]
    assert len(ranges(1, 500_000)) == 201
    assert ranges(0, 0) == []
