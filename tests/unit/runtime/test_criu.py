"""CRIU's messages byte by byte, and what the command line's options say in them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wharfie.errors import InternalError, InvalidArgument, NotSupported
from wharfie.runtime.criu import options, service, wire


def test_a_request_is_as_protocol_buffers_write_it() -> None:
    opts = {
        "images_dir_fd": 4, "pid": -1, "log_file": "x", "root": None, "external": ["a", "b"],
        "ext_mnt": [{"key": "/k", "val": "v"}], "shell_job": True, "lsm_mount_context": "c",
    }  # fmt: skip
    body = (
        b"\x08\x04" b"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01" b"\x52\x01x" b"\xaa\x02\x01a\xaa\x02\x01b"
        b"\xba\x01\x07\x0a\x02/k\x12\x01v" b"\x38\x01" b"\xfa\x03\x01c"
    )  # fmt: skip
    assert wire.encode({"type": 300, "opts": opts}, wire.REQUEST) == (
        b"\x08\xac\x02\x12" + bytes([len(body)]) + body
    )


def test_a_response_is_read_whatever_else_is_in_it() -> None:
    data = b"\x08\x06\x10\x01\x2a\x07\x0a\x03abc\x10\x05\x38\xfb\xff\xff\xff\xff\xff\xff\xff\xff\x01"
    unknown = b"\xf8\x07\x01\xfd\x07abcd\xf9\x07abcdefgh\xfa\x07\x02xx"
    assert wire.decode(data + unknown, wire.RESPONSE) == {
        "type": 6, "success": 1, "notify": {"script": "abc", "pid": 5}, "cr_errno": -5,
    }  # fmt: skip


@given(st.binary(max_size=60))
def test_no_answer_breaks_the_reader(data: bytes) -> None:
    with suppress(InternalError):
        assert isinstance(wire.decode(data, wire.RESPONSE), dict)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, {"manage_cgroups_mode": 6, "empty_ns": 0x40000000, "notify_scripts": True}),
        ({"manage-cgroups-mode": "strict"}, {"manage_cgroups_mode": 5}),
        ({"manage-cgroups-mode": "ignore"}, {"manage_cgroups_mode": 0}),
        ({"page-server": "[::1]:77"}, {"ps": {"address": "::1", "port": 77}}),
        (
            {"leave-running": True, "tcp-skip-in-flight": True},
            {"leave_running": True, "tcp_skip_in_flight": True},
        ),
        *(
            ({name: True}, {name.replace("-", "_"): True})
            for name in (
                "tcp-established",
                "ext-unix-sk",
                "shell-job",
                "file-locks",
                "auto-dedup",
                "lazy-pages",
            )
        ),
    ],
)
def test_an_option_is_told(given: dict[str, Any], wanted: dict[str, Any]) -> None:
    told = options.dumping(given)
    assert {name: told[name] for name in wanted} == wanted


def test_a_dump_on_top_of_another_names_it_relative_to_its_own(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    given = {"parent-path": "../first", "image-path": str(tmp_path / "second")}
    told = options.dumping(given)
    assert (told["parent_img"], told["track_mem"]) == ("../first", True)
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidArgument, match="not a directory"):
        options.dumping({**given, "parent-path": "../file"})


def test_labels_are_told_at_the_restore_only() -> None:
    given = {"lsm-profile": "apparmor:x", "lsm-mount-context": "y"}
    told = options.restoring(given)
    assert (told["lsm_profile"], told["lsm_mount_context"]) == ("apparmor:x", "y")
    assert "lsm_profile" not in options.dumping(given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"page-server": "a:65536"}, "Invalid port number"),
        ({"page-server": ":1"}, "Use --page-server ADDRESS:PORT"),
        ({"status-fd": 999}, "invalid --status-fd argument 999: it is not open"),
        ({"empty-ns": ["network", "user"]}, 'namespace "user" is not supported'),
        ({"manage-cgroups-mode": "x"}, "Invalid manage-cgroups-mode value"),
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        options.dumping(given)


def test_a_status_fd_must_be_writable() -> None:
    with open("/dev/null") as null, pytest.raises(InvalidArgument, match="not writable"):
        options.dumping({"status-fd": null.fileno()})


def test_criu_is_searched_on_the_path_and_named_when_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotSupported, match=r'exec: "criu": executable file not found in \$PATH'):
        service.find("criu")
    with pytest.raises(NotSupported, match=r'exec: "/no/criu": executable file not found$'):
        service.find("/no/criu")
    (tmp_path / "criu").write_text("")
    (tmp_path / "criu").chmod(0o755)
    assert service.find("criu") == f"{tmp_path}/criu"
