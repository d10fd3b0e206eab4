"""Where the daemon listens, and where it refuses to."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from wharfie.daemon.config import Tls
from wharfie.daemon.pidfile import PidFile
from wharfie.daemon.sockets import open_listeners
from wharfie.errors import Conflict, InvalidArgument


def unix(path: Path) -> str:
    return f"unix://{path}"


def test_a_unix_socket_is_not_for_everybody(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "w.sock"
    (listener,) = open_listeners(unix(path), group="", tls=Tls())
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    listener.remove()
    assert not path.exists()


def test_the_socket_of_a_dead_daemon_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "w.sock"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    (listener,) = open_listeners(unix(path), group="", tls=Tls())
    listener.remove()


def test_the_socket_of_a_living_daemon_is_not(tmp_path: Path) -> None:
    path = tmp_path / "w.sock"
    with socket.socket(socket.AF_UNIX) as living:
        living.bind(str(path))
        living.listen()
        with pytest.raises(Conflict, match="another daemon listens"):
            open_listeners(unix(path), group="", tls=Tls())
    assert path.exists()


def test_a_socket_that_was_replaced_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "w.sock"
    (listener,) = open_listeners(unix(path), group="", tls=Tls())
    path.unlink()
    path.write_text("somebody else's")
    listener.remove()
    assert path.exists()


def test_an_unknown_group_is_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="there is no group nobody-has-this"):
        open_listeners(unix(tmp_path / "w.sock"), group="nobody-has-this", tls=Tls())


@pytest.mark.parametrize("tls", [Tls(), Tls(enabled=True), Tls(verify=False)])
def test_tcp_needs_client_certificates_or_plain_words(tls: Tls) -> None:
    with pytest.raises(InvalidArgument, match="--tlsverify"):
        open_listeners("tcp://127.0.0.1:0", group="", tls=tls)


def test_tcp_without_tls_is_possible_and_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    (listener,) = open_listeners("tcp://127.0.0.1:0", group="", tls=Tls(enabled=False))
    assert listener.tls is None
    assert "anybody who reaches" in caplog.text
    listener.remove()


def test_tls_files_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="TLS files"):
        open_listeners("tcp://127.0.0.1:0", group="", tls=Tls(verify=True, certificate=str(tmp_path / "no")))


def test_fd_without_systemd_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LISTEN_FDS", raising=False)
    with pytest.raises(InvalidArgument, match="socket activation"):
        open_listeners("fd://", group="", tls=Tls())


def test_one_daemon_has_the_pidfile(tmp_path: Path) -> None:
    path = tmp_path / "d" / "w.pid"
    mine = PidFile(str(path), "the pidfile")
    assert path.read_text() == f"{os.getpid()}\n"
    with pytest.raises(Conflict, match=f"process {os.getpid()}.* has the pidfile"):
        PidFile(str(path), "the pidfile")
    mine.release()
    assert not path.exists()


def test_a_stale_pidfile_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "w.pid"
    path.write_text("99999999 left by a crash")
    mine = PidFile(str(path), "the pidfile")
    assert path.read_text() == f"{os.getpid()}\n"
    mine.release()
