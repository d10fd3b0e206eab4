"""Lines become instructions: arguments and flags are checked, in Docker's words."""

from __future__ import annotations

import re
from collections.abc import Callable

from wharfie.build import arguments as args
from wharfie.build import instructions as ins
from wharfie.build.errors import DockerfileError
from wharfie.build.flags import Allowed, Flags, extract, read, suggestion
from wharfie.build.mounts import parse_mount
from wharfie.build.syntax import Line, Parsed, parse, parse_heredoc

_STAGE = re.compile(r"[a-z][a-z0-9-_.]*\Z")
_COPY_FLAGS = Allowed(("from", "chown", "chmod"), ("link", "parents"), ("exclude",))
_ADD_FLAGS = Allowed(("chown", "chmod", "checksum"), ("link", "keep-git-dir", "unpack"), ("exclude",))
_HEALTH_FLAGS = Allowed(("interval", "timeout", "start-period", "start-interval", "retries"))
Reader = Callable[[Line, Flags, str, str], ins.Instruction]


def dockerfile(data: bytes, name: str = "Dockerfile") -> ins.Dockerfile:
    """The whole file; raises DockerfileError with the line."""
    parsed = parse(data, name)
    arguments: list[ins.Arg] = []
    stages: list[ins.Stage] = []
    for line in parsed.lines:
        found = _located(line, parsed.escape)
        if isinstance(found, ins.From):
            stages.append(ins.Stage(found, [], len(stages)))
        elif stages:
            stages[-1].steps.append(found)
        elif isinstance(found, ins.Arg):
            arguments.append(found)
        else:
            raise DockerfileError("no build stage in current context", line.first, line.last)
    if not stages:
        raise DockerfileError("no build stage in current context", parsed.lines[-1].first)
    return _whole(parsed, arguments, stages)


def _whole(parsed: Parsed, arguments: list[ins.Arg], stages: list[ins.Stage]) -> ins.Dockerfile:
    return ins.Dockerfile(
        arguments, stages, parsed.escape, parsed.source, parsed.directives, parsed.empty_continuations
    )


def _located(line: Line, escape: str) -> ins.Instruction:
    try:
        return instruction(line, escape)
    except DockerfileError as error:
        if error.line:
            raise
        raise DockerfileError(error.message, line.first, line.last) from None


def instruction(line: Line, escape: str) -> ins.Instruction:
    """One instruction; raises DockerfileError, without a line where the caller knows it."""
    reader = READERS.get(line.word)
    if reader is None:
        raise DockerfileError(
            f"unknown instruction: {line.spelled or line.word}"
            + suggestion(line.word, [name.upper() for name in READERS])
        )
    allowed, function = reader
    given: list[str] = []
    rest = line.rest
    if line.word not in ("ENV", "LABEL", "ARG", "MAINTAINER", "ONBUILD"):
        given, rest = extract(line.rest, escape)
    return function(line, read(given, allowed), rest, escape)


def triggered(expression: str, escape: str, line: Line) -> ins.Instruction:
    """The instruction that an ``ONBUILD`` of the base stands for; raises DockerfileError at ``line``."""
    try:
        [only] = parse(expression.encode("utf-8", "surrogateescape")).lines
    except DockerfileError as error:
        raise DockerfileError(f"ONBUILD {expression}: {error.message}", line.first, line.last) from None
    except ValueError:
        message = f"ONBUILD {expression}: a trigger is a single instruction"
        raise DockerfileError(message, line.first, line.last) from None
    own = Line(only.word, only.rest, line.first, line.last, only.heredocs, only.spelled)
    if own.word in ("ONBUILD", "FROM", "MAINTAINER"):
        raise DockerfileError(_forbidden(own.word), line.first, line.last)
    return _located(own, escape)


def _forbidden(word: str) -> str:
    if word == "ONBUILD":
        return "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"
    return f"{word} isn't allowed as an ONBUILD trigger"


def _from(line: Line, flags: Flags, rest: str, escape: str) -> ins.From:
    words = rest.split()
    if len(words) == 3 and words[1].lower() == "as":
        name = words[2].lower()
        if not _STAGE.match(name):
            raise DockerfileError(
                f'invalid name for build stage: "{words[2]}", name can\'t start with a number or contain '
                "symbols"
            )
        return ins.From(line, words[0], words[2], flags.text("platform"))
    if len(words) != 1:
        raise DockerfileError("FROM requires either one or three arguments")
    return ins.From(line, words[0], "", flags.text("platform"))


def _arg(line: Line, flags: Flags, rest: str, escape: str) -> ins.Arg:
    pairs: list[tuple[str, str | None]] = []
    for word in args.words(rest, escape):
        name, equals, value = word.partition("=")
        if not name:
            raise DockerfileError("ARG names can not be blank")
        pairs.append((name, value if equals else None))
    if not pairs:
        raise DockerfileError("ARG requires at least one argument")
    return ins.Arg(line, pairs)


def _env(line: Line, flags: Flags, rest: str, escape: str) -> ins.Env:
    pairs, legacy = args.pairs(rest, "ENV", escape)
    return ins.Env(line, pairs, legacy)


def _label(line: Line, flags: Flags, rest: str, escape: str) -> ins.Labels:
    pairs, legacy = args.pairs(rest, "LABEL", escape)
    return ins.Labels(line, pairs, legacy)


def _copy(line: Line, flags: Flags, rest: str, escape: str) -> ins.Copy:
    name = line.word if line.word in ("ADD", "COPY") else "COPY"
    found = args.json_array(rest)
    words = found if found is not None else args.words(rest, escape)
    documents = []
    left = []
    pending = list(line.heredocs)
    for word in words[:-1]:
        begun = parse_heredoc(word, escape) if pending and found is None else None
        if begun is None:
            left.append(word)
        else:
            documents.append(pending.pop(0))
    if len(words) < 2:
        raise DockerfileError(
            f"{name} requires at least two arguments"
            + (", but only one was provided. Destination could not be determined" if len(words) == 1 else "")
        )
    if "$" in flags.text("from"):
        raise DockerfileError(
            "variable expansion is not supported for --from, define a new stage with FROM using ARG from "
            "global scope as a workaround"
        )
    keep = flags.switch("keep-git-dir")
    return ins.Copy(
        line, left, words[-1],
        add=name == "ADD", origin=flags.text("from"), chown=flags.text("chown"), chmod=flags.text("chmod"),
        link=flags.switch("link"), parents=flags.switch("parents"), exclude=flags.lists.get("exclude", []),
        checksum=flags.text("checksum"), keep_git_dir=keep, unpack=flags.switches.get("unpack"),
        documents=documents,
    )  # fmt: skip


def _run(line: Line, flags: Flags, rest: str, escape: str) -> ins.Run:
    words, shell = args.command(rest)
    mounts = [parse_mount(text) for text in flags.lists.get("mount", [])]
    network = flags.text("network")
    if network not in ("", "default", "none", "host"):
        raise DockerfileError(f'invalid network mode: "{network}"')
    security = flags.text("security")
    if security not in ("", "sandbox", "insecure"):
        raise DockerfileError(f'security "{security}" is not valid')
    if not words:
        raise DockerfileError("RUN requires at least one argument")
    return ins.Run(line, words, shell, mounts, network, security, list(line.heredocs))


def _cmd(line: Line, flags: Flags, rest: str, escape: str) -> ins.Cmd:
    return ins.Cmd(line, *args.command(rest))


def _entrypoint(line: Line, flags: Flags, rest: str, escape: str) -> ins.Entrypoint:
    words, shell = args.command(rest)
    if not words and not rest.strip().startswith("["):
        raise DockerfileError("ENTRYPOINT requires at least one argument")
    return ins.Entrypoint(line, words, shell)


def _healthcheck(line: Line, flags: Flags, rest: str, escape: str) -> ins.Healthcheck:
    kind, command = (*rest.split(None, 1), "", "")[:2]
    if not kind:
        raise DockerfileError("HEALTHCHECK requires at least one argument")
    if kind.upper() == "NONE":
        if command.strip():
            raise DockerfileError("HEALTHCHECK NONE takes no arguments")
        return ins.Healthcheck(line, [], False)
    if kind.upper() != "CMD":
        raise DockerfileError(f'Unknown type "{kind.upper()}" in HEALTHCHECK (try CMD)')
    words, shell = args.command(command)
    if not words:
        raise DockerfileError("Missing command after HEALTHCHECK CMD")
    times = {name: args.duration(flags.text(name), name) for name in _HEALTH_FLAGS.texts if name != "retries"}
    return ins.Healthcheck(
        line, words, shell,
        times["interval"], times["timeout"], times["start-period"], times["start-interval"],
        args.retries(flags.text("retries")),
    )  # fmt: skip


def _shell(line: Line, flags: Flags, rest: str, escape: str) -> ins.Shell:
    words = args.json_array(rest)
    if words is None:
        if rest.strip():
            raise DockerfileError("SHELL requires the arguments to be in JSON form")
        raise DockerfileError("SHELL requires at least one argument")
    if not words:
        raise DockerfileError("SHELL requires at least one argument")
    return ins.Shell(line, words)


def _one(name: str, rest: str) -> str:
    text = rest.strip()
    if not text:
        raise DockerfileError(f"{name} requires exactly one argument")
    return text


def _user(line: Line, flags: Flags, rest: str, escape: str) -> ins.User:
    return ins.User(line, _one("USER", rest))


def _workdir(line: Line, flags: Flags, rest: str, escape: str) -> ins.Workdir:
    return ins.Workdir(line, _one("WORKDIR", rest))


def _stop_signal(line: Line, flags: Flags, rest: str, escape: str) -> ins.StopSignal:
    return ins.StopSignal(line, _one("STOPSIGNAL", rest))


def _expose(line: Line, flags: Flags, rest: str, escape: str) -> ins.Expose:
    words = rest.split()
    if not words:
        raise DockerfileError("EXPOSE requires at least one argument")
    return ins.Expose(line, sorted(words))


def _volume(line: Line, flags: Flags, rest: str, escape: str) -> ins.Volume:
    found = args.json_array(rest)
    words = found if found is not None else args.words(rest, escape)
    if not words:
        raise DockerfileError("VOLUME requires at least one argument")
    if not all(word.strip() for word in words):
        raise DockerfileError("VOLUME specified can not be an empty string")
    return ins.Volume(line, [word.strip() for word in words])


def _onbuild(line: Line, flags: Flags, rest: str, escape: str) -> ins.OnBuild:
    words = rest.split(None, 1)
    if not words:
        raise DockerfileError("ONBUILD requires at least one argument")
    word = words[0].upper()
    if word in ("ONBUILD", "FROM", "MAINTAINER"):
        raise DockerfileError(_forbidden(word))
    expression = rest.strip()
    for document in line.heredocs:
        expression += f"\n{document.content}{document.name}"
    inner = Line(word, words[1] if len(words) > 1 else "", line.first, line.last, line.heredocs, words[0])
    instruction(inner, escape)
    return ins.OnBuild(line, expression)


def _maintainer(line: Line, flags: Flags, rest: str, escape: str) -> ins.Maintainer:
    return ins.Maintainer(line, _one("MAINTAINER", rest))


_NONE = Allowed()
READERS: dict[str, tuple[Allowed, Reader]] = {
    "FROM": (Allowed(("platform",)), _from),
    "RUN": (Allowed(("network", "security"), (), ("mount",)), _run),
    "COPY": (_COPY_FLAGS, _copy),
    "ADD": (_ADD_FLAGS, _copy),
    "ARG": (_NONE, _arg),
    "ENV": (_NONE, _env),
    "LABEL": (_NONE, _label),
    "CMD": (_NONE, _cmd),
    "ENTRYPOINT": (_NONE, _entrypoint),
    "HEALTHCHECK": (_HEALTH_FLAGS, _healthcheck),
    "SHELL": (_NONE, _shell),
    "USER": (_NONE, _user),
    "WORKDIR": (_NONE, _workdir),
    "STOPSIGNAL": (_NONE, _stop_signal),
    "EXPOSE": (_NONE, _expose),
    "VOLUME": (_NONE, _volume),
    "ONBUILD": (_NONE, _onbuild),
    "MAINTAINER": (_NONE, _maintainer),
}
