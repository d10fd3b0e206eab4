"""What Dockerfiles of the corpus take from elsewhere: files by HTTP, a repository by Git, an SSH agent."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.ports import free_port

CONTENT = "from afar\n"


@contextmanager
def served(root: Path, stamp: int, prefix: Sequence[str] = ()) -> Iterator[dict[str, str]]:
    """The services: what stands for their addresses in the corpus. ``prefix`` runs a command elsewhere."""
    root.mkdir(parents=True, exist_ok=True)
    files = root / "files"
    files.mkdir()
    (files / "file.txt").write_text(CONTENT)
    with tarfile.open(files / "t.tar", "w") as archive:
        entry = tarfile.TarInfo("file.txt")
        entry.size = len(CONTENT)
        archive.addfile(entry, io.BytesIO(CONTENT.encode()))
    for path in files.iterdir():
        os.utime(path, (stamp, stamp))
    _repository(root / "git" / "r.git", root / "work")
    port = free_port()
    with ExitStack() as stack:
        web = [
            sys.executable,
            "-u",
            "-m",
            "http.server",
            "0",
            "--bind",
            "127.0.0.1",
            "--directory",
            str(files),
        ]
        line = stack.enter_context(_service([*prefix, *web], "Serving HTTP"))
        found = re.search(r"port (\d+)", line)
        assert found, line
        git = ["git", "daemon", "--verbose", "--reuseaddr", "--listen=127.0.0.1", f"--port={port}",
               "--export-all", f"--base-path={root / 'git'}"]  # fmt: skip
        stack.enter_context(_service([*prefix, *git], "Ready to rumble"))
        agent = f"{root}/agent.sock"
        stack.enter_context(_service(["ssh-agent", "-D", "-a", agent], "SSH_AUTH_SOCK"))
        yield {
            "@http@": f"http://127.0.0.1:{found[1]}",
            "@git@": f"git://127.0.0.1:{port}",
            "@agent@": agent,
        }


def put_in(text: str, addresses: dict[str, str]) -> str:
    """A text of the corpus with the addresses of this run."""
    for name, value in addresses.items():
        text = text.replace(name, value)
    return text


@contextmanager
def _service(words: list[str], ready: str) -> Iterator[str]:
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if ready in line:
                    break
            else:
                raise AssertionError(f"{words[0]} ended")
            yield line
        finally:
            process.terminate()


def _repository(bare: Path, work: Path) -> None:
    """A bare repository with two files on its branch ``main``."""
    (work / "sub").mkdir(parents=True)
    (work / "top.txt").write_text("top\n")
    (work / "sub" / "deep.txt").write_text("deep\n")
    who = {"NAME": "a", "EMAIL": "a@example.org", "DATE": "1700000000 +0000"}
    named = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in who.items()}
    environment = {**os.environ, **named, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}

    def git(*words: str) -> None:
        subprocess.run(["git", *words], check=True, capture_output=True, env=environment)

    git("init", "-q", "-b", "main", str(work))
    git("-C", str(work), "add", ".")
    git("-C", str(work), "commit", "-q", "-m", "first")
    git("clone", "-q", "--bare", str(work), str(bare))
