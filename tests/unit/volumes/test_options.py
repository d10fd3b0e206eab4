"""What the options of a volume tell the kernel: a file system on another machine, and its secrets."""

from __future__ import annotations

import pytest

from wharfie.volumes.options import Kind, described, kind, superblock

NFS = {"type": "nfs", "device": ":/export", "o": "addr=192.0.2.7,rw,nfsvers=4,soft"}


def test_nfs_is_mounted_with_what_docker_mounts_it_with() -> None:
    assert kind(NFS) is Kind.MOUNT
    assert superblock(NFS) == (
        ("source", ":/export"),
        ("addr", "192.0.2.7"),
        ("nfsvers", "4"),
        ("soft", None),
    )


@pytest.mark.parametrize("fstype", ["nfs", "nfs4", "cifs"])
def test_a_server_s_name_becomes_its_address(fstype: str) -> None:
    found = dict(superblock({**NFS, "type": fstype, "o": "addr=localhost"}))
    assert found["addr"] in ("127.0.0.1", "::1")


def test_a_name_that_stands_for_nothing_is_the_mount_s_error() -> None:
    with pytest.raises(OSError, match=r".+"):
        superblock({**NFS, "o": "addr=no-such-host.invalid"})


def test_read_only_is_the_file_system_s_own() -> None:
    assert ("ro", None) in superblock({**NFS, "o": "addr=192.0.2.7,ro"})


def test_no_error_tells_a_password() -> None:
    told = described({"type": "cifs", "device": "//s/d", "o": "username=me,password=secret,addr=192.0.2.7"})
    assert "secret" not in told
    assert "username=me" in told
