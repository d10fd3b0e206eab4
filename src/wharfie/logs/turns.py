"""Many readers of logs, one event loop: between two blocks of any of them everybody else is served.

Without it a hundred followers that are woken by one line would each decode a block before the loop looks at a
socket again. Here one block is decoded in each round of the loop, by the readers in the order in which they
ask.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterator

from wharfie.logs.parts import BLOCK

_FEW = 8
_SMALL = 64 * 1024


class _Turns:
    """Who decodes, on one loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self.loop = loop
        self.readers = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._taken = False

    async def take(self) -> None:
        """Returns when it is the caller's turn, which ends with this round of the loop."""
        loop = asyncio.get_running_loop()
        if self._taken:
            turn = loop.create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if not turn.cancelled():
                    self._pass_on()
                raise
        self._taken = True
        loop.call_soon(self._pass_on)

    def _pass_on(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._taken = False


_turns = _Turns(None)


async def in_turn(pieces: Iterator[bytes]) -> AsyncGenerator[bytes, None]:
    """The same pieces, each made in a round of its own."""
    global _turns
    loop = asyncio.get_running_loop()
    if _turns.loop is not loop:
        _turns = _Turns(loop)
    turns = _turns
    turns.readers += 1
    try:
        while True:
            await turns.take()
            piece = next(pieces, None)
            if piece is None:
                return
            yield piece
    finally:
        turns.readers -= 1


def block_size() -> int:
    """How much to decode at a time: less where many wait for their turn."""
    return BLOCK if _turns.readers <= _FEW else _SMALL
