"""Runs a conformance case: makes its bundle, lets a runtime run it, compares, looks for what is left."""

from __future__ import annotations

import copy
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from tests.conformance.runtime import helpers
from tests.conformance.runtime.base import APPLETS, base_configuration
from tests.conformance.runtime.case import Case, Step

PARENT = "/wharfie-conformance"
PATIENCE = 60.0


class Done(NamedTuple):
    """How a command ended."""

    code: int
    output: str
    errors: str


class Runtime(Protocol):
    """Something that runs runc's command line."""

    name: str

    def __call__(self, words: list[str], directory: Path, terminal: int | None = None) -> Done:
        """Run one command, in ``directory``; with a terminal it is all three streams."""
        ...


class Program:
    """A runtime by the words that start it."""

    def __init__(self, name: str, *argv: str) -> None:
        self.name = name
        self.argv = argv

    def __call__(self, words: list[str], directory: Path, terminal: int | None = None) -> Done:
        # files and no pipes: a created container keeps its standard streams open
        with open(directory / "stdout", "w+b") as output, open(directory / "stderr", "w+b") as errors:
            streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": errors}
            if terminal is not None:
                streams = dict.fromkeys(("stdin", "stdout", "stderr"), terminal)
            process = subprocess.Popen(
                [*self.argv, *words], cwd=directory, start_new_session=terminal is not None, **streams
            )
            try:
                code = process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise Wrong(f"{words} did not end") from None
            return Done(code, *(_read(stream) for stream in (output, errors)))


def _read(stream: Any) -> str:
    stream.seek(0)
    return str(stream.read().decode(errors="replace"))


class Wrong(AssertionError):
    """The runtime did not do what the case says."""


def merge(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """``change`` put into a copy of ``base``, as :class:`Case` describes it."""
    made = copy.copy(base)
    for key, value in change.items():
        if key.startswith("+"):
            made[key[1:]] = [*made.get(key[1:], ()), *value]
        elif value is None:
            made.pop(key, None)
        elif isinstance(value, dict) and isinstance(made.get(key), dict):
            made[key] = merge(made[key], value)
        else:
            made[key] = value
    return made


class Bundle:
    """A case's directory, with a root file system, a state directory and a name of its own."""

    def __init__(self, directory: Path, case: Case) -> None:
        self.directory = directory
        self.id = f"c{uuid.uuid4().hex[:12]}"
        self.cgroup = f"{PARENT}/{self.id}"
        make_root(directory / "rootfs")
        base = base_configuration(["sh", "-c", case.probe], self.cgroup)
        text = json.dumps(merge(base, case.change))
        (directory / "config.json").write_text(self.fill(text))

    def fill(self, text: str) -> str:
        """``text`` with what is known now."""
        known = {"@BUNDLE@": str(self.directory), "@ID@": self.id, "@CGROUP@": self.cgroup}
        for mark, value in known.items():
            text = text.replace(mark, value)
        return text

    def shell(self, script: str) -> Done:
        """Run a script of the host here."""
        if not script:
            return Done(0, "", "")
        done = subprocess.run(
            ["sh", "-c", self.fill(script)], cwd=self.directory, capture_output=True, text=True,
            stdin=subprocess.DEVNULL, timeout=PATIENCE,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    def leftovers(self) -> list[str]:
        """Mounts, control groups and state that mention the container."""
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        found = [line for line in mounts if str(self.directory) in line or self.id in line]
        found += [str(path) for path in groups(f"{PARENT}/{self.id}")]
        # a lock file of the runtime's own is no container
        found += [str(path) for path in (self.directory / "state").glob("*") if path.is_dir()]
        return found


def layout() -> str:
    """How this machine's control groups are arranged: "v1", "hybrid" or "v2"."""
    top = Path("/sys/fs/cgroup")
    if (top / "cgroup.controllers").exists():
        return "v2"
    return "hybrid" if (top / "unified").exists() else "v1"


def groups(path: str) -> list[Path]:
    """The directories of a control group, in whatever hierarchies it is."""
    top = Path("/sys/fs/cgroup")
    places = [Path(f"{top}{path}"), *(Path(f"{entry}{path}") for entry in top.iterdir() if entry.is_dir())]
    return [place for place in places if place.is_dir()]


def make_root(root: Path) -> None:
    """A root file system: busybox under the names that probes use."""
    binary = shutil.which("busybox")
    assert binary, "busybox-static is needed"
    for name in ("bin", "etc", "tmp", "root", "proc", "dev", "sys"):
        (root / name).mkdir(parents=True)
    try:
        os.link(binary, root / "bin/busybox")
    except OSError:  # another file system
        shutil.copy(binary, root / "bin/busybox")
    for name in APPLETS:
        os.symlink("busybox", root / "bin" / name)


def play(runtime: Runtime, case: Case, directory: Path, become: Callable[[], Runtime] | None = None) -> None:
    """Play a case; raises Wrong where the runtime does not do what it says.

    ``become`` gives the runtime as somebody else starts it, once the bundle is there.
    """
    bundle = Bundle(directory, case)
    if become is not None:
        runtime = become()
    try:
        prepared = bundle.shell(case.before)
        assert prepared.code == 0, prepared
        helper = helpers.HELPERS[case.helper](directory) if case.helper else nullcontext(lambda: "")
        with helper as heard:
            if case.steps:
                for step in case.steps:
                    take(runtime, bundle, step)
                _compare(case, heard(), "")
            else:
                _run_once(runtime, bundle, case, heard)
        bundle.shell(case.always)
        left = bundle.leftovers()
        if left:
            raise Wrong(f"left behind: {left}")
    finally:
        if case.always:
            bundle.shell(case.always)
        _sweep(runtime, bundle)


def _run_once(runtime: Runtime, bundle: Bundle, case: Case, heard: Any) -> None:
    words = [
        "run",
        *(bundle.fill(word) for word in case.options),
        "--bundle",
        str(bundle.directory),
        bundle.id,
    ]
    if case.rows is not None:
        done = _in_terminal(runtime, words, bundle.directory, case.rows)
    else:
        done = runtime(_global(bundle, words), bundle.directory)
    if case.refused:
        _refused(bundle, done, case.refused)
        return
    if done.code != case.code:
        raise Wrong(f"exit code {done.code}, {case.code} was expected: {done.output}{done.errors}")
    after = bundle.shell(case.after)
    if after.code:
        raise Wrong(f"afterwards: {after.output}{after.errors}")
    _compare(case, done.output + heard() + after.output, done.errors)


def _global(bundle: Bundle, words: list[str]) -> list[str]:
    return ["--root", str(bundle.directory / "state"), "--log", str(bundle.directory / "log"), *words]


def _refused(bundle: Bundle, done: Done, pattern: str) -> None:
    log = bundle.directory / "log"
    said = done.errors + (log.read_text() if log.exists() else "")
    if done.code == 0:
        raise Wrong(f"it was not refused: {done.output}")
    if not re.search(pattern, said, re.IGNORECASE):
        raise Wrong(f"{pattern!r} is not in its refusal: {said}")


def _compare(wanted: Case | Step, output: str, errors: str) -> None:
    if wanted.see is not None and output.strip() != wanted.see.strip():
        raise Wrong(f"saw {output.strip()!r} instead of {wanted.see.strip()!r} {errors}")
    if wanted.like and not re.search(wanted.like, output, re.MULTILINE):
        raise Wrong(f"{wanted.like!r} is not in {output!r} {errors}")


def take(runtime: Runtime, bundle: Bundle, step: Step) -> None:
    """One step of a case."""
    if step.words[:1] == ("(until)",):
        reach(runtime, bundle, step.words[1])
        return
    if step.shell:
        done = bundle.shell(step.shell)
    else:
        done = runtime(_global(bundle, [bundle.fill(word) for word in step.words]), bundle.directory)
    what = " ".join(step.words) or step.shell
    if step.fails is not None:
        _refused(bundle, done, step.fails)
        if step.code is not None and done.code != step.code:
            raise Wrong(f"{what}: exit code {done.code}, {step.code} was expected")
        return
    if done.code != (step.code or 0):
        raise Wrong(f"{what}: exit code {done.code}: {done.output}{done.errors}")
    _compare(step, done.output, done.errors)
    if step.json is not None:
        _compare_json(json.loads(bundle.fill(json.dumps(step.json))), json.loads(done.output), what)


def _compare_json(wanted: Any, got: Any, place: str) -> None:
    if isinstance(wanted, dict) and isinstance(got, dict):
        for key, value in wanted.items():
            if key not in got:
                raise Wrong(f"{place}: no {key!r} in {got}")
            _compare_json(value, got[key], f"{place}.{key}")
    elif isinstance(wanted, list) and isinstance(got, list):
        for value in wanted:
            if value not in got:
                raise Wrong(f"{place}: no {value!r} in {got}")
    elif wanted != got:
        raise Wrong(f"{place}: {got!r} instead of {wanted!r}")


def reach(runtime: Runtime, bundle: Bundle, wanted: str) -> None:
    """Wait until the container's status is ``wanted``."""
    deadline = time.monotonic() + PATIENCE
    while True:
        done = runtime(_global(bundle, ["state", bundle.id]), bundle.directory)
        found = json.loads(done.output)["status"] if done.code == 0 else done.errors
        if found == wanted:
            return
        if time.monotonic() > deadline:
            raise Wrong(f"the status is {found!r} and never was {wanted!r}")
        time.sleep(0.01)


def _in_terminal(runtime: Runtime, words: list[str], directory: Path, size: tuple[int, int]) -> Done:
    import fcntl
    import struct
    import termios

    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    root = ["--root", str(directory / "state"), "--log", str(directory / "log")]
    try:
        try:
            done = runtime([*root, *words], directory, terminal=slave)
        finally:
            os.close(slave)
        # what was written last may still be on its way through the kernel
        found = b""
        while select.select([master], [], [], PATIENCE)[0]:
            try:
                found += os.read(master, 65536)
            except OSError:  # EIO: the last writer is gone
                break
    finally:
        os.close(master)
    return Done(done.code, found.decode(errors="replace").replace("\r\n", "\n"), "")


def _sweep(runtime: Runtime, bundle: Bundle) -> None:
    """Whatever a failed case has left must not be in the way of the next."""
    if any(path.is_dir() for path in (bundle.directory / "state").glob("*")):
        runtime(_global(bundle, ["delete", "--force", bundle.id]), bundle.directory)
    for group in groups(f"{PARENT}/{bundle.id}"):
        _empty(group)


def _empty(group: Path) -> None:
    for pid in (group / "cgroup.procs").read_text().split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            group.rmdir()
            return
        except OSError:
            assert time.monotonic() < deadline, f"{group} cannot be removed"
            time.sleep(0.01)


def remove_groups(*paths: str) -> None:
    """Take away the parents that an engine makes for its containers and leaves, where nobody is in them."""
    for path in paths:
        for group in groups(path):
            try:
                group.rmdir()
            except OSError:
                continue


@contextmanager
def parent_group() -> Iterator[None]:
    """The group above all the suite's containers goes with it, unless somebody else is in it."""
    yield
    for group in groups(PARENT):
        with suppress(OSError):
            group.rmdir()
