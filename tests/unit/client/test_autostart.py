"""A daemon is started once, however many want one, and a failing one says why."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from wharfie.client import autostart
from wharfie.client.address import Address
from wharfie.client.errors import DaemonFailed

SERVER = """
import os, socket
listener = socket.socket(socket.AF_UNIX)
listener.bind({path!r})
listener.listen(8)
open({started!r}, "a").write("x")
while True:
    peer, _ = listener.accept()
    if b"/_stop" in peer.recv(4096):
        break
    peer.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nOK")
    peer.close()
"""


def test_several_clients_start_one_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, started = str(tmp_path / "d" / "w.sock"), str(tmp_path / "started")
    program = SERVER.format(path=path, started=started)
    monkeypatch.setattr(autostart, "daemon_command", lambda: [sys.executable, "-I", "-S", "-c", program])
    address = Address(f"unix://{path}")
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: autostart.ensure(address), range(4)))
    mine = [result for result in results if result is not None]
    try:
        assert len(mine) == 1
        assert Path(started).read_text() == "x"
        assert mine[0].log == str(tmp_path / "d" / "daemon.log")
        assert os.getsid(mine[0].pid) == mine[0].pid
    finally:
        sock = address.connect()
        sock.sendall(b"GET /_stop HTTP/1.1\r\n\r\n")
        sock.close()
        os.waitpid(mine[0].pid, 0)


def test_a_daemon_that_dies_leaves_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = "import sys; sys.exit('no room left')"
    monkeypatch.setattr(autostart, "daemon_command", lambda: [sys.executable, "-I", "-S", "-c", program])
    with pytest.raises(DaemonFailed, match="no room left"):
        autostart.ensure(Address(f"unix://{tmp_path}/d/w.sock"))


def test_the_daemon_gets_this_process_s_module_path_and_nothing_beside_a_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["__main__"], "__file__", f"{tmp_path}/program.py")
    monkeypatch.setattr(sys, "path", [str(tmp_path), "", "relative", *sys.path])
    assert autostart.module_path() == [path for path in sys.path[3:] if path.startswith("/")]
    monkeypatch.setattr(sys, "path", ["src"])
    assert Path(autostart.module_path()[0], "wharfie", "client", "autostart.py").exists()
    command = autostart.daemon_command()
    assert command[1:4] == ["-I", "-S", "-c"]
    assert repr(autostart.module_path()) in command[4]
