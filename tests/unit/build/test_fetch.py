"""What is fetched from elsewhere, and what is told of it when that fails."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from wharfie.build import fetch
from wharfie.build.errors import BuildFailed
from wharfie.errors import Unavailable, WharfieError
from wharfie.images.webfile import redacted

PASSWORD = "s3cret"


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that is ours and that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:s3cret@host/x.git#v1:sub", "https://xxxxx:xxxxx@host/x.git#v1:sub"),
        ("https://s3cret@host/x", "https://xxxxx:xxxxx@host/x"),
        ("https://me:p@s3cret@host/x", "https://xxxxx:xxxxx@host/x"),
        ("cannot reach 'http://me:s3cret@host:1/x' now", "cannot reach 'http://xxxxx:xxxxx@host:1/x' now"),
        ("https://host/x@1.2.git", "https://host/x@1.2.git"),
        ("https://host?to=a@b", "https://host?to=a@b"),
        ("git@host:x.git", "git@host:x.git"),
    ],
)
def test_credentials_of_an_address_are_not_shown(text: str, shown: str) -> None:
    assert redacted(text) == shown


def test_a_repository_that_cannot_be_reached_is_told_without_its_password(
    closed_port: int, tmp_path: Path
) -> None:
    assert shutil.which("git"), "this test needs the program git"
    url = f"http://me:{PASSWORD}@127.0.0.1:{closed_port}/x.git"
    with pytest.raises(BuildFailed) as caught:
        asyncio.run(fetch.clone(url, str(tmp_path / "x"), keep_git=False))
    assert caught.value.message.startswith("git fetch failed: ")
    assert str(closed_port) in caught.value.message
    assert PASSWORD not in caught.value.message


def test_a_reference_that_is_none_is_told_without_the_password(tmp_path: Path) -> None:
    url = f"https://me:{PASSWORD}@host/x.git#-v"
    with pytest.raises(BuildFailed) as caught:
        asyncio.run(fetch.clone(url, str(tmp_path / "x"), keep_git=False))
    assert caught.value.message == "invalid Git reference in https://xxxxx:xxxxx@host/x.git#-v"


def test_a_file_that_cannot_be_fetched_is_told_without_the_password(closed_port: int, tmp_path: Path) -> None:
    shown = f"http://xxxxx:xxxxx@127.0.0.1:{closed_port}/f"
    url = shown.replace("xxxxx:xxxxx", f"me:{PASSWORD}")
    with pytest.raises(Unavailable) as caught:
        asyncio.run(fetch.download(url, str(tmp_path / "f")))
    assert caught.value.message.startswith(f"failed to fetch {shown}: ")
    assert PASSWORD not in caught.value.message
    assert not (tmp_path / "f").exists()


def test_a_wrong_checksum_is_told_without_the_password() -> None:
    with pytest.raises(WharfieError) as caught:
        fetch.check_digest("sha256:a", "sha256:b", f"https://me:{PASSWORD}@host/f")
    assert (
        caught.value.message
        == "digest mismatch sha256:b: sha256:a was expected of https://xxxxx:xxxxx@host/f"
    )


@pytest.mark.parametrize("agent", ["/run/agent.sock", ""])
def test_a_repository_over_ssh_is_fetched_with_the_agent_of_the_build_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, agent: str
) -> None:
    """The program ssh is stood in for by one that serves the repository, and tells how it was called."""
    work, seen = tmp_path / "work", tmp_path / "seen"
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    git = ["git", "-C", str(work), *who]
    subprocess.run(["git", "init", "-q", str(work)], check=True)
    (work / "f").write_text("content")
    subprocess.run([*git, "add", "f"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "first"], check=True)
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/ssh"
    program.write_text(
        f'#!/bin/sh\necho "${{SSH_AUTH_SOCK-none}} $*" >>{seen}\nexec git-upload-pack {work}/.git\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/the/engines/own")
    url = "ssh://git@host.example/r.git"
    asyncio.run(fetch.clone(url, str(tmp_path / "out"), keep_git=False, agent=agent))
    assert (tmp_path / "out/f").read_text() == "content"
    for line in seen.read_text().splitlines():
        assert line.startswith(f"{agent or 'none'} -F /dev/null ")
        assert "git@host.example" in line


async def test_who_gives_a_repository_up_ends_what_git_has_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe, program = tmp_path / "pipe", tmp_path / "git"
    os.mkfifo(pipe)
    program.write_text(f"#!/bin/sh\n(echo begun; exec sleep 1000) >{pipe} &\nexec sleep 1000\n")
    program.chmod(0o755)
    monkeypatch.setattr(fetch, "_program", lambda: str(program))
    work = fetch.clone("https://example.org/x.git", str(tmp_path / "to"), keep_git=False)
    cloning = asyncio.ensure_future(work)  # noqa: TID251
    with await asyncio.to_thread(open, pipe, "rb") as told:
        assert await asyncio.to_thread(told.readline) == b"begun\n"
        cloning.cancel()
        assert await asyncio.wait_for(asyncio.to_thread(told.read), 60) == b""
    with pytest.raises(asyncio.CancelledError):
        await cloning
