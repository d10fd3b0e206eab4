"""``run -ti`` in a real terminal (tmux), with our command line and with docker's."""

from __future__ import annotations

import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import ours
from tests.peers import docker


class Terminal:
    """A tmux session of its own server: typed into and read as a person would."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._tmux("new-session", "-d", "-x", "100", "-y", "30", "env -u TMUX PS1='host$ ' sh")

    def _tmux(self, *words: str) -> str:
        done = subprocess.run(["tmux", "-L", self.name, *words], check=True, capture_output=True, text=True)
        return done.stdout

    def screen(self) -> str:
        """What is on the screen now."""
        return self._tmux("capture-pane", "-p")

    def type(self, text: str, *keys: str) -> None:
        """Type ``text``, then press ``keys`` (Enter unless given)."""
        if text:
            self._tmux("send-keys", "-l", text)
        for key in keys or ("Enter",):
            self._tmux("send-keys", key)

    def see(self, wanted: str | Callable[[str], bool], seconds: float = ours.PATIENCE) -> str:
        """Wait until the screen shows ``wanted``; the screen then."""
        deadline = time.monotonic() + seconds
        while True:
            screen = self.screen()
            if wanted(screen) if callable(wanted) else wanted in screen:
                return screen
            assert time.monotonic() < deadline, f"never saw {wanted!r} in:\n{screen}"
            time.sleep(0.05)

    def resize(self, columns: int, rows: int) -> None:
        """Change the size of the window."""
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def close(self) -> None:
        """End the session with all in it."""
        self._tmux("kill-server")


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    opened = Terminal(f"whtest-{time.monotonic_ns()}")
    try:
        yield opened
    finally:
        opened.close()


@pytest.fixture(params=["wharfie", "docker"])
def command(request: pytest.FixtureRequest, engine: ours.Engine) -> str:
    program = ours.WHARFIE if request.param == "wharfie" else docker.docker_cli()
    return f"{shlex.quote(program)} -H {engine.host}"


def prompt(screen: str) -> bool:
    """Whether the container's shell waits for a command on the last line."""
    return screen.rstrip().endswith("\nin#") or screen.strip() == "in#"


def in_front(engine: ours.Engine, command: str) -> bool:
    """Whether the shell's child of this command line has the terminal and is not stopped: keys go to it."""
    shell = int(engine.cli("inspect", "-f", "{{.State.Pid}}", "tty").stdout)
    for pid, line in ours.processes().items():
        if line.strip() == command and ours.parent(pid) == shell:
            # proc(5): state, parent, group, session, terminal, the terminal's group in front
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            return fields[0] != "T" and fields[2] == fields[5]
    return False


def test_a_shell_in_a_terminal(terminal: Terminal, command: str, engine: ours.Engine) -> None:
    try:
        terminal.type(f"{command} run -ti --rm --name tty -e PS1='in# ' busybox sh; echo code=$?")
        terminal.see(prompt)
        terminal.type("ps -o pid,args | head -2")
        terminal.see("1 sh")
        terminal.type("clear; stty size")
        terminal.see("30 100")
        terminal.resize(77, 25)
        terminal.type("clear; while ! stty size | grep -q '^25 77$'; do :; done; echo resized-$((1+1))")
        terminal.see("resized-2")
        # Ctrl-C ends the command in front, not the shell
        terminal.type("clear; echo sleep-$((1+2)); sleep 1000; echo after")
        terminal.see("sleep-3")
        ours.until(lambda: in_front(engine, "sleep 1000"), "it does not run")
        terminal.type("", "C-c")
        terminal.see(prompt)
        # job control: a process that is stopped and brought back
        terminal.type("clear; echo sleep-$((1+3)); sleep 999")
        terminal.see("sleep-4")
        ours.until(lambda: in_front(engine, "sleep 999"), "it does not run")
        terminal.type("", "C-z")
        terminal.see("Stopped")
        terminal.type("clear; jobs; echo jobs-$((20+2))")
        assert "Stopped" in terminal.see("jobs-22")
        terminal.type("clear; fg")
        terminal.see("sleep 999")
        ours.until(lambda: in_front(engine, "sleep 999"), "it is not brought back")
        terminal.type("", "C-c")
        terminal.see(prompt)
        outside = int(engine.cli("inspect", "-f", "{{.State.Pid}}", "tty").stdout)
        assert outside > 1
        assert b"sh" in Path(f"/proc/{outside}/cmdline").read_bytes()
        terminal.type("exit 7")
        terminal.see("code=7")
    finally:
        engine.cli("rm", "-f", "tty")


def test_exec_attach_and_detach(terminal: Terminal, command: str, engine: ours.Engine) -> None:
    script = "trap 'echo got-int' INT; while read line; do echo \"<$line>\"; done"
    assert engine.cli("run", "-dti", "--name", "att", "busybox", "sh", "-c", script).returncode == 0
    try:
        terminal.type(f"{command} exec -ti att sh -c 'echo e-$((1+1)); tty; exit 4'; echo code=$?")
        assert "/dev/pts/1" in terminal.see("code=4")
        terminal.type(f"clear; {command} attach att; echo code=$?")
        terminal.type("hello")
        terminal.see("<hello>")
        terminal.type("", "C-p", "C-q")
        terminal.see("read escape sequence")
        assert engine.cli("inspect", "-f", "{{.State.Running}}", "att").stdout == "true\n"
    finally:
        engine.cli("rm", "-f", "att")


def test_logs_are_followed(terminal: Terminal, command: str, engine: ours.Engine) -> None:
    script = "while ! test -e /go; do sleep 0.05; done; echo first; sleep 0.2; echo last"
    assert engine.cli("run", "-d", "--name", "logged", "busybox", "sh", "-c", script).returncode == 0
    try:
        terminal.type(f"clear; {command} logs -f logged; echo ended=$?")
        engine.cli("exec", "logged", "touch", "/go")
        assert "first\nlast\nended=0" in terminal.see("ended=0")
    finally:
        engine.cli("rm", "-f", "logged")
