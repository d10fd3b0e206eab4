"""Wrappers that need no privilege."""

from __future__ import annotations

import _socket
import os
from pathlib import Path

import pytest

from wharfie.linux import fd, libc, path, process


def test_a_path_with_a_nul_is_refused_before_c_can_cut_it() -> None:
    with pytest.raises(ValueError, match="NUL"):
        libc.cstring("/etc\0/passwd")


def test_an_error_names_its_path(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        path.openat2(-100, str(tmp_path / "none"), os.O_RDONLY)
    assert caught.value.filename == str(tmp_path / "none")


def test_links_are_resolved_inside_the_root(tmp_path: Path) -> None:
    (tmp_path / "inside").write_text("inside")
    (tmp_path / "link").symlink_to("../../../../inside")
    (tmp_path / "magic").symlink_to("/proc/self/root/etc/passwd")
    root = os.open(tmp_path, os.O_PATH)
    found = path.open_in_root(root, "/link", os.O_RDONLY)
    assert os.read(found, 100) == b"inside"
    with pytest.raises(OSError, match="magic"):
        path.open_in_root(root, "/magic", os.O_RDONLY)
    made = path.make_directories(root, "/a/../b/c")
    assert os.readlink(f"/proc/self/fd/{made}") == str(tmp_path / "b/c")
    for opened in (root, found, made):
        os.close(opened)


def test_descriptors_travel_with_a_message() -> None:
    one, other = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    reader, writer = os.pipe()
    fd.send_fds(one, b"hello", (writer,))
    data, fds = fd.recv_fds(other)
    assert (data, len(fds)) == (b"hello", 1)
    os.write(fds[0], b"x")
    assert os.read(reader, 1) == b"x"
    assert not os.get_inheritable(fds[0])
    fd.close_all([reader, writer, *fds])
    one.close()
    other.close()


def test_a_child_that_raises_never_returns_into_its_parent() -> None:
    def child() -> None:
        os.dup2(os.open("/dev/null", os.O_WRONLY), 2)
        raise RuntimeError

    _pid, pidfd = process.fork_into(child)
    assert process.wait_pidfd(pidfd) == 255
    os.close(pidfd)


def test_a_process_is_named_by_pid_and_start_time() -> None:
    assert process.start_time(os.getpid()) > 0
    assert process.process_state(os.getpid()) in "RS"
