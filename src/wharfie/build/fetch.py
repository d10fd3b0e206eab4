"""What comes from elsewhere: files by HTTP, repositories by ``git``.

``git`` is the distribution's program, run with no prompt, no hooks and no file:// surprises; over SSH with
the build's own agent and nothing else of anybody's. Where it is missing the error says so.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import posixpath
import re
import signal
import time
from email.utils import parsedate_to_datetime
from urllib.parse import unquote, urlsplit

from wharfie.build.errors import BuildFailed, BuildNotSupported
from wharfie.errors import InvalidArgument, NotFound, Unavailable
from wharfie.images import programs, webfile
from wharfie.images.webfile import redacted
from wharfie.support.files import remove_tree

_GIT = re.compile(r"^(git://|git@|https?://[^#]+\.git(?:[#?]|$)|ssh://)")
_SUBDIRECTORY = re.compile(r"[^\0]*\Z")
_REF = re.compile(r"[A-Za-z0-9_./@{}^~+-]*\Z")
_SAID = 1 << 16
_SSH = "ssh -F /dev/null " + " ".join(
    f"-o {option}"
    for option in (
        "BatchMode=yes",
        "LogLevel=ERROR",
        "StrictHostKeyChecking=accept-new",
        "UserKnownHostsFile=/dev/null",
    )
)
"""Nothing of the engine's user counts; a host in /etc/ssh/ssh_known_hosts must have its key."""


def is_url(text: str) -> bool:
    """Whether a source is fetched by HTTP."""
    return text.startswith(("http://", "https://"))


def is_git(text: str) -> bool:
    """Whether a source is a repository."""
    return _GIT.match(text) is not None or (text.startswith("github.com/"))


def file_name(url: str) -> str:
    """The last part of a URL's path."""
    return posixpath.basename(unquote(urlsplit(url).path))


def check_digest(expected: str, digest: str, what: str) -> None:
    """Raises BuildFailed where a checksum is not the one asked for."""
    if expected and expected != digest:
        raise BuildFailed(f"digest mismatch {digest}: {expected} was expected of {redacted(what)}")


async def download(url: str, target: str) -> tuple[str, int]:
    """Fetch into a new file; digest and time of the last change (ns). Raises BuildFailed, Unavailable."""
    whole = hashlib.sha256()
    try:
        async with webfile.opened(url) as found:
            with open(target, "xb") as file:
                async for piece in found.pieces:
                    whole.update(piece)
                    file.write(piece)
    except (InvalidArgument, NotFound) as error:
        raise BuildFailed(error.message) from error
    try:
        when = int(parsedate_to_datetime(found.changed).timestamp()) * 10**9
    except (TypeError, ValueError):
        when = 0
    return "sha256:" + whole.hexdigest(), when


async def clone(url: str, target: str, *, keep_git: bool, agent: str = "") -> tuple[str, str]:
    """A repository's tree in ``target``; the commit, and the directory that is meant. Raises BuildFailed.

    ``agent``: the socket of an SSH agent, for repositories that are reached by SSH.
    """
    remote, _, fragment = url.partition("#")
    ref, _, below = fragment.partition(":")
    if remote.startswith("github.com/"):
        remote = "https://" + remote
    if remote.startswith("-") or ref.startswith("-") or not _REF.match(ref):
        raise BuildFailed(f"invalid Git reference in {redacted(url)}")
    git = _program()
    await _run("init", [git], "-q", target)
    base = [git, "-C", target, "-c", "protocol.file.allow=never", "-c", "core.symlinks=true"]
    fetched = ("-q", "--depth", "1", "--recurse-submodules=no", remote, ref or "HEAD")
    await _run("fetch", base, *fetched, agent=agent)
    await _run("checkout", base, "-q", "FETCH_HEAD")
    await _run("submodule", base, "-q", "update", "--init", "--recursive", "--depth", "1", agent=agent)
    commit = (await _run("rev-parse", base, "HEAD")).strip()
    if not keep_git:
        await asyncio.to_thread(remove_tree, f"{target}/.git")
    return commit, posixpath.normpath("/" + below).lstrip("/")


def _program() -> str:
    try:
        return programs.find("git", "git")
    except Unavailable as error:
        raise BuildNotSupported(f"a Git repository needs the program git: {error}") from error


async def _run(command: str, before: list[str], *after: str, agent: str = "") -> str:
    environment = {
        "PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_SSH_COMMAND": _SSH,
        "HOME": "/nonexistent",
        "LC_ALL": "C",
    }
    if agent:
        environment["SSH_AUTH_SOCK"] = agent
    for name in ("http_proxy", "https_proxy", "no_proxy", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"):
        if name in os.environ:
            environment[name] = os.environ[name]
    process = await asyncio.create_subprocess_exec(
        *before,
        command,
        *after,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
        start_new_session=True,
    )
    try:
        out, complaint = await asyncio.gather(_last(process.stdout), _last(process.stderr))
        await process.wait()
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)  # ssh and the like, which it has started, too
            await process.wait()
    if process.returncode:
        text = complaint.decode("utf-8", "replace").strip().splitlines()
        raise BuildFailed(f"git {command} failed: {redacted(text[-1]) if text else process.returncode}")
    return out.decode("utf-8", "replace")


async def _last(stream: asyncio.StreamReader | None) -> bytes:
    """The last of what a program writes: a server can have it say any amount."""
    assert stream is not None
    held = b""
    while piece := await stream.read(_SAID):
        held = (held + piece)[-_SAID:]
    return held


def now() -> int:
    """Nanoseconds since the epoch."""
    return time.time_ns()
