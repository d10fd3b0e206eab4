"""One block in each round of the loop, by the readers in turn."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from wharfie.logs.parts import BLOCK
from wharfie.logs.turns import block_size, in_turn


async def test_readers_take_turns_and_everybody_else_is_served_between() -> None:
    made: list[str] = []
    rounds = 0

    def blocks(name: str) -> Iterator[bytes]:
        for number in range(3):
            made.append(f"{name}{number} in round {rounds}")
            yield b"x"

    async def count() -> None:
        nonlocal rounds
        while True:
            rounds += 1
            await asyncio.sleep(0)

    async def read(name: str) -> int:
        return len([piece async for piece in in_turn(blocks(name))])

    counting = asyncio.get_running_loop().create_task(count())
    assert await asyncio.gather(*(read(name) for name in "abc")) == [3, 3, 3]
    counting.cancel()
    # the first asks again before the others have asked at all
    assert [text[:2] for text in made] == ["a0", "a1", "b0", "c0", "a2", "b1", "c1", "b2", "c2"]
    assert len({text.rpartition(" ")[2] for text in made}) == len(made), made


async def test_a_reader_that_gives_up_while_it_waits_holds_nobody_up() -> None:
    def blocks() -> Iterator[bytes]:
        yield b"x"
        yield b"y"

    async def read() -> int:
        return len([piece async for piece in in_turn(blocks())])

    readers = [asyncio.get_running_loop().create_task(read()) for _ in range(9)]
    await asyncio.sleep(0)
    for reader in readers[1::2]:
        reader.cancel()
    found = await asyncio.gather(*readers, return_exceptions=True)
    assert [one for one in found if one == 2] == [2] * 5


async def test_blocks_are_smaller_where_many_wait() -> None:
    async def one(begun: asyncio.Event, on: asyncio.Event) -> None:
        async for _ in in_turn(iter([b"x"])):
            begun.set()
            await on.wait()

    on = asyncio.Event()
    begun = [asyncio.Event() for _ in range(20)]
    assert block_size() == BLOCK
    readers = [asyncio.get_running_loop().create_task(one(event, on)) for event in begun]
    for event in begun:
        await event.wait()
    assert block_size() < BLOCK
    on.set()
    await asyncio.gather(*readers)
    assert block_size() == BLOCK
