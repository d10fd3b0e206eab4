"""The end of an output that others still hold, and faults of single streams."""

from __future__ import annotations

import os

import pytest

from wharfie.monitor.loop import READ, Loop
from wharfie.monitor.stdio import Output
from wharfie.wire import stdcopy


def test_an_output_that_others_still_write_to_is_read_and_forgotten() -> None:
    loop = Loop()
    reading, writing = os.pipe()
    output = Output(loop, reading, stdcopy.STDOUT, None)
    output.discard()  # the process is gone, but not the pipe's other writers
    os.write(writing, b"x" * 1000)
    loop.call_later(0, loop.stop)
    loop.run()
    os.set_blocking(reading, False)
    with pytest.raises(BlockingIOError):
        os.read(reading, 1)
    os.close(writing)
    output.close()


@pytest.mark.parametrize("vital", [False, True])
def test_a_fault_of_one_stream_is_not_the_end_unless_it_is_vital(
    vital: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    loop = Loop()
    first, second = os.pipe(), os.pipe()
    seen = []

    def faulty(_events: int) -> None:
        raise ValueError("a fault")

    def sound(_events: int) -> None:
        seen.append(os.read(second[0], 10))
        loop.stop()

    loop.watch(first[0], READ, faulty, vital=vital)
    os.write(first[1], b"x")
    try:
        if vital:
            with pytest.raises(ValueError, match="a fault"):
                loop.run()
            return
        loop.watch(second[0], READ, sound)
        os.write(second[1], b"y")
        loop.run()
        assert seen == [b"y"]
        assert "a fault" in capfd.readouterr().err
    finally:
        for fd in (*first, *second):
            os.close(fd)
