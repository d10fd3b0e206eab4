"""Messages and descriptors arrive whole, long ones too."""

from __future__ import annotations

import os
import socket

import pytest

from wharfie.monitor import protocol
from wharfie.monitor.protocol import Attachment, ExitRecord, LaunchRequest
from wharfie.support import json


@pytest.mark.parametrize("size", [1, 1000, 100_000, 3_000_000])
def test_a_message_with_descriptors(size: int) -> None:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    reading, writing = os.pipe()
    with near, far:
        protocol.send(near, {"text": "x" * size}, [writing])
        os.close(writing)
        received = protocol.receive(far)
        assert received is not None
        message, fds = received
        assert message == {"text": "x" * size}
        os.write(fds[0], b"here")
        assert os.read(reading, 10) == b"here"
        os.close(fds[0])
        os.close(reading)
        near.close()
        assert protocol.receive(far) is None


@pytest.mark.parametrize("packet", [b"[]", b"{", b"M", b"\xff"])
def test_what_is_no_message_is_refused(packet: bytes) -> None:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with near, far:
        near.send(packet)
        with pytest.raises(ValueError):
            protocol.receive(far)


def test_requests_and_records_survive_the_way() -> None:
    request = LaunchRequest(
        id="x", spec={"process": {}}, bundle="/b", directory="/d", log={"driver": "none"}, tty=True,
        console_size=(24, 80), attachments=[Attachment(stdin=True, prefix=bytes(range(256)))],
    )  # fmt: skip
    again = LaunchRequest.from_json(json.loads(json.dumps(request.to_json())))
    assert again.to_json() == request.to_json()
    assert again.console_size == (24, 80)
    assert again.attachments[0].prefix == bytes(range(256))
    record = ExitRecord(exit_code=3, finished_at_ns=5, oom_killed=True, error="e")
    assert ExitRecord.from_json(record.to_json()).to_json() == record.to_json()
