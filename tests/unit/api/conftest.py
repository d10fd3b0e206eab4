from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.unit.api.fakes import Api


@pytest_asyncio.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    path = tmp_path / "api.sock"
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(path))
    served = Api(path)
    await served.server.listen(sock)
    yield served
    await served.server.close(0.1)
