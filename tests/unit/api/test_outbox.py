"""Progress on its way to a client: of output that nobody takes a limited amount waits."""

from __future__ import annotations

import asyncio

from wharfie.api.streaming import Outbox

MIB = 1 << 20


async def test_messages_come_in_order_until_the_end() -> None:
    box = Outbox()
    waiting = asyncio.ensure_future(box.taken())  # noqa: TID251
    await asyncio.sleep(0)
    box.put({"status": "a"})
    assert await waiting == [{"status": "a"}]
    box.put({"stream": "b"})
    box.put({"aux": {}})
    box.end()
    assert await box.taken() == [{"stream": "b"}, {"aux": {}}]
    assert await box.taken() == []


async def test_output_that_nobody_takes_is_clipped_and_nothing_else() -> None:
    box = Outbox()
    for turn in range(40):
        box.put({"wharfie": {"step": "1", "output": "y" * MIB}} if turn % 2 else {"stream": "y" * MIB})
        box.put({"status": str(turn)})
    found = await box.taken()
    assert sum(len(str(message)) for message in found) < 17 * MIB
    assert [message["status"] for message in found if "status" in message] == [
        str(turn) for turn in range(40)
    ]
    assert [message for message in found if "clipped" in str(message.get("stream"))] == [found[32]]
    box.put({"stream": "now"})
    assert await box.taken() == [{"stream": "now"}]
