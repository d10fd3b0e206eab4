"""``--change`` of import and commit: single Dockerfile instructions applied to a configuration.

Only the instructions that describe how to run a container are allowed, as in Docker. Variables are not
expanded.
"""

from __future__ import annotations

import posixpath
import shlex

import msgspec

from wharfie.errors import InvalidArgument
from wharfie.images.config import Healthcheck, RunConfig
from wharfie.support.units import parse_duration

DEFAULT_SHELL = ["/bin/sh", "-c"]


class InvalidChange(InvalidArgument):
    """A change that cannot be applied."""


def apply(config: RunConfig, changes: list[str]) -> RunConfig:
    """The configuration after all ``changes``; the one given stays as it is.

    Raises:
        InvalidChange: an unknown instruction, or one with arguments it cannot take.
    """
    changed = msgspec.json.decode(msgspec.json.encode(config), type=RunConfig)
    for text in changes:
        for line in text.replace("\\\n", " ").splitlines():
            line = line.strip()
            if line and not line.startswith("#"):
                _apply(changed, line)
    return changed


def _apply(config: RunConfig, line: str) -> None:
    word, _, rest = line.partition(" ")
    instruction = _INSTRUCTIONS.get(word.upper())
    if instruction is None:
        raise InvalidChange(f"{word} is not a valid change command")
    rest = rest.strip()
    if not rest:
        raise InvalidChange(f"{word.upper()} requires at least one argument")
    instruction(config, rest)


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise InvalidChange(f"cannot split {text!r} into words: {error}") from error


def _json_list(text: str) -> list[str] | None:
    if not text.startswith("["):
        return None
    try:
        return msgspec.json.decode(text.encode(), type=list[str])
    except (msgspec.MsgspecError, RecursionError):
        return None


def _command(config: RunConfig, text: str) -> list[str]:
    listed = _json_list(text)
    return listed if listed is not None else [*(config.shell or DEFAULT_SHELL), text]


def _pairs(text: str, word: str) -> list[tuple[str, str]]:
    words = _words(text)
    if "=" not in words[0]:
        name, _, value = text.partition(" ")
        if not value.strip():
            raise InvalidChange(f"{word} must have two arguments")
        return [(name, value.strip())]
    found = []
    for item in words:
        name, equals, value = item.partition("=")
        if not equals or not name:
            raise InvalidChange(f"Syntax error - can't find = in {item!r}. Must be of the form: name=value")
        found.append((name, value))
    return found


def _cmd(config: RunConfig, text: str) -> None:
    config.cmd = _command(config, text)


def _entrypoint(config: RunConfig, text: str) -> None:
    config.entrypoint = _command(config, text)


def _env(config: RunConfig, text: str) -> None:
    env = list(config.env or [])
    for name, value in _pairs(text, "ENV"):
        prefix = name + "="
        for index, item in enumerate(env):
            if item.startswith(prefix):
                env[index] = prefix + value
                break
        else:
            env.append(prefix + value)
    config.env = env


def _label(config: RunConfig, text: str) -> None:
    config.labels = {**(config.labels or {}), **dict(_pairs(text, "LABEL"))}


def _expose(config: RunConfig, text: str) -> None:
    ports = dict(config.exposed_ports or {})
    for word in _words(text):
        number, _, protocol = word.partition("/")
        low, _, high = number.partition("-")
        protocol = protocol.lower() or "tcp"
        if not low.isdigit() or (high and not high.isdigit()) or protocol not in ("tcp", "udp", "sctp"):
            raise InvalidChange(f"Invalid containerPort: {word}")
        first, last = int(low), int(high or low)
        if not 0 < first <= last <= 65535:
            raise InvalidChange(f"Invalid containerPort: {word}")
        ports.update({f"{port}/{protocol}": {} for port in range(first, last + 1)})
    config.exposed_ports = ports


def _volume(config: RunConfig, text: str) -> None:
    listed = _json_list(text)
    config.volumes = {**(config.volumes or {}), **{path: {} for path in listed or _words(text)}}


def _workdir(config: RunConfig, text: str) -> None:
    config.working_dir = posixpath.normpath(posixpath.join("/", config.working_dir, text)).replace("//", "/")


def _user(config: RunConfig, text: str) -> None:
    config.user = text


def _stop_signal(config: RunConfig, text: str) -> None:
    config.stop_signal = text


def _on_build(config: RunConfig, text: str) -> None:
    word = text.partition(" ")[0].upper()
    if word == "ONBUILD":
        raise InvalidChange("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if word in ("MAINTAINER", "FROM"):
        raise InvalidChange(f"{word} isn't allowed as an ONBUILD trigger")
    config.on_build = [*(config.on_build or []), text]


def _healthcheck(config: RunConfig, text: str) -> None:
    check = Healthcheck()
    while text.startswith("--"):
        flag, _, text = text.partition(" ")
        text = text.strip()
        name, _, value = flag[2:].partition("=")
        _health_flag(check, name, value)
    kind, _, command = text.partition(" ")
    if kind.upper() == "NONE":
        config.healthcheck = Healthcheck(test=["NONE"])
        return
    if kind.upper() != "CMD" or not command.strip():
        raise InvalidChange(f"Unknown type {kind!r} in HEALTHCHECK (try CMD)")
    listed = _json_list(command.strip())
    check.test = ["CMD", *listed] if listed is not None else ["CMD-SHELL", command.strip()]
    config.healthcheck = check


def _health_flag(check: Healthcheck, name: str, value: str) -> None:
    try:
        if name == "retries":
            check.retries = int(value)
        elif name == "interval":
            check.interval = parse_duration(value)
        elif name == "timeout":
            check.timeout = parse_duration(value)
        elif name == "start-period":
            check.start_period = parse_duration(value)
        elif name == "start-interval":
            check.start_interval = parse_duration(value)
        else:
            raise InvalidChange(f"Unknown flag: {name}")
    except ValueError as error:
        raise InvalidChange(f"HEALTHCHECK --{name} cannot be {value!r}: {error}") from error


_INSTRUCTIONS = {
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "ONBUILD": _on_build,
    "STOPSIGNAL": _stop_signal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}
