"""Instructions that only describe how to run a container: each one as a change of the configuration.

Pure: nothing is read or written. The text is what ``history`` shows.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from wharfie.build import instructions as ins
from wharfie.build.errors import DockerfileError
from wharfie.build.variables import DEFAULT_PATH, Scope, pair
from wharfie.errors import InvalidArgument
from wharfie.images.config import Healthcheck, RunConfig
from wharfie.spec.signals import signal_number

DEFAULT_SHELL = ["/bin/sh", "-c"]
_PORT = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/([a-zA-Z]+))?\Z")
_SEVERAL = ":"


class Configuration:
    """The configuration of a stage while its instructions go by."""

    def __init__(self, run: RunConfig, *, given: bool) -> None:
        """``given``: the base image has a configuration; without, ``PATH`` is set as Docker does."""
        self.run = msgspec.json.decode(msgspec.json.encode(run), type=RunConfig)
        self.author = ""
        self.command_set = False
        """This stage has a ``CMD``."""
        if not given or not any(pair(entry)[0] == "PATH" for entry in self.run.env or ()):
            self.run.env = [f"PATH={DEFAULT_PATH}", *(self.run.env or ())]

    @property
    def shell(self) -> list[str]:
        """What the shell form of a command is given to."""
        return self.run.shell or DEFAULT_SHELL

    def command(self, item: ins.Command) -> list[str]:
        """The words that are executed."""
        return [*self.shell, *item.words] if item.shell else list(item.words)

    def directory(self, path: str) -> str:
        """A path of an instruction, seen from the working directory."""
        return posixpath.normpath(posixpath.join("/", self.run.working_dir, path)).replace("//", "/")

    def apply(self, item: ins.Instruction, scope: Scope) -> str:
        """One instruction; the line for the history. Raises DockerfileError."""
        return _APPLY[type(item)](self, item, scope)

    def set_env(self, name: str, value: str) -> None:
        """A variable of the image, in the place it had."""
        env = list(self.run.env or ())
        for at, entry in enumerate(env):
            if pair(entry)[0] == name:
                env[at] = f"{name}={value}"
                break
        else:
            env.append(f"{name}={value}")
        self.run.env = env


def _env(state: Configuration, item: ins.Env, scope: Scope) -> str:
    found = [
        (scope.expand(name, item.line.first), scope.expand(value, item.line.first))
        for name, value in item.pairs
    ]
    for name, value in found:
        if not name:
            raise DockerfileError("ENV names can not be blank", item.line.first)
        state.set_env(name, value)
        scope.declared.pop(name, None)
    scope.env = state.run.env or []
    return "ENV " + " ".join(f"{name}={value}" for name, value in found)


def _labels(state: Configuration, item: ins.Labels, scope: Scope) -> str:
    found = [
        (scope.expand(name, item.line.first), scope.expand(value, item.line.first))
        for name, value in item.pairs
    ]
    state.run.labels = {**(state.run.labels or {}), **dict(found)}
    return "LABEL " + " ".join(f"{name}={value}" for name, value in found)


def _arg(state: Configuration, item: ins.Arg, scope: Scope) -> str:
    scope.declare(item)
    shown = []
    for name, _default in item.pairs:
        value = scope.declared.get(name)
        shown.append(name if value is None else f"{name}={value}")
    return "ARG " + " ".join(shown)


def _cmd(state: Configuration, item: ins.Cmd, scope: Scope) -> str:
    state.run.cmd = state.command(item)
    state.run.args_escaped = True  # whatever the form, as Docker has it
    state.command_set = True
    return f"CMD {_listed(state.run.cmd)}"


def _entrypoint(state: Configuration, item: ins.Entrypoint, scope: Scope) -> str:
    state.run.entrypoint = state.command(item)
    if not state.command_set:
        state.run.cmd = None
    return f"ENTRYPOINT {_listed(state.run.entrypoint)}"


def _healthcheck(state: Configuration, item: ins.Healthcheck, scope: Scope) -> str:
    if not item.words:
        state.run.healthcheck = Healthcheck(test=["NONE"])
        return "HEALTHCHECK NONE"
    test = ["CMD-SHELL", *item.words] if item.shell else ["CMD", *item.words]
    state.run.healthcheck = Healthcheck(
        test, item.interval, item.timeout, item.start_period, item.start_interval, item.retries
    )
    return f"HEALTHCHECK {item.line.rest.strip()}"


def _shell(state: Configuration, item: ins.Shell, scope: Scope) -> str:
    state.run.shell = list(item.words)
    return f"SHELL {_listed(item.words)}"


def _user(state: Configuration, item: ins.User, scope: Scope) -> str:
    state.run.user = scope.expand(item.user, item.line.first)
    return f"USER {state.run.user}"


def _workdir(state: Configuration, item: ins.Workdir, scope: Scope) -> str:
    state.run.working_dir = state.directory(scope.expand(item.path, item.line.first))
    return f"WORKDIR {state.run.working_dir}"


def _expose(state: Configuration, item: ins.Expose, scope: Scope) -> str:
    words = [word for text in item.ports for word in scope.split(text, item.line.first)]
    wanted: dict[str, int] = {}
    for word in words:
        protocol, ports = exposed(word, item.line.first)
        wanted[protocol] = wanted.get(protocol, 0) | ports
    found = sorted(
        f"{port}/{protocol}"
        for protocol, ports in wanted.items()
        for port in range(65536)
        if ports >> port & 1
    )
    state.run.exposed_ports = {**(state.run.exposed_ports or {}), **{port: {} for port in found}}
    return "EXPOSE " + _go_map(found)


def exposed(word: str, line: int) -> tuple[str, int]:
    """Protocol and ports (a bit for each, as ranges may be many) of ``80``, ``80/udp`` or ``80-82``.

    Raises DockerfileError.
    """
    found = _PORT.match(word.rpartition(_SEVERAL)[2])
    if found is None:
        raise DockerfileError(f"Invalid containerPort: {word}", line)
    low = int(found.group(1))
    high = int(found.group(2) or low)
    protocol = (found.group(3) or "tcp").lower()
    if protocol not in ("tcp", "udp", "sctp"):
        raise DockerfileError(f"Invalid proto: {protocol}", line)
    if not low <= high <= 65535:
        raise DockerfileError(f"Invalid containerPort: {word}", line)
    return protocol, (1 << high + 1) - (1 << low)


def _volume(state: Configuration, item: ins.Volume, scope: Scope) -> str:
    volumes = dict(state.run.volumes or {})
    found = [scope.expand(path, item.line.first) for path in item.paths]
    for path in found:
        if not path:
            raise DockerfileError("VOLUME specified can not be an empty string", item.line.first)
        volumes[path] = {}
    state.run.volumes = volumes
    return f"VOLUME {_listed(found)}"


def _stop_signal(state: Configuration, item: ins.StopSignal, scope: Scope) -> str:
    signal = scope.expand(item.signal, item.line.first)
    try:
        signal_number(signal)
    except InvalidArgument:
        raise DockerfileError(f"Invalid signal: {signal}", item.line.first) from None
    state.run.stop_signal = signal
    return f"STOPSIGNAL {signal}"


def _onbuild(state: Configuration, item: ins.OnBuild, scope: Scope) -> str:
    state.run.on_build = [*(state.run.on_build or ()), item.expression]
    return f"ONBUILD {item.expression}"


def _maintainer(state: Configuration, item: ins.Maintainer, scope: Scope) -> str:
    state.author = item.name
    return f"MAINTAINER {item.name}"


def _listed(words: Sequence[str]) -> str:
    """As Go prints a list of strings."""
    return "[" + " ".join('"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"' for word in words) + "]"


def _go_map(ports: Sequence[str]) -> str:
    return "map[" + " ".join(f"{port}:{{}}" for port in ports) + "]"


# each function takes its own kind of instruction
_APPLY: dict[type[ins.Instruction], Callable[[Configuration, Any, Scope], str]] = {
    ins.Env: _env,
    ins.Labels: _labels,
    ins.Arg: _arg,
    ins.Cmd: _cmd,
    ins.Entrypoint: _entrypoint,
    ins.Healthcheck: _healthcheck,
    ins.Shell: _shell,
    ins.User: _user,
    ins.Workdir: _workdir,
    ins.Expose: _expose,
    ins.Volume: _volume,
    ins.StopSignal: _stop_signal,
    ins.OnBuild: _onbuild,
    ins.Maintainer: _maintainer,
}
