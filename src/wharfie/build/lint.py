"""Docker's build checks: what is allowed in a Dockerfile and will be regretted.

``# check=skip=NAME,NAME;error=true`` at the top chooses. The names and the addresses that explain them are
Docker's.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from wharfie.build import instructions as ins
from wharfie.build.errors import DockerfileError
from wharfie.build.variables import PREDEFINED, Globals, expand
from wharfie.build.words import Lexer
from wharfie.support.ignore import Matcher

_SECRET = re.compile(
    r"(^|_)(apikey|auth|credential|credentials|key|password|pword|passwd|secret|token)($|_)", re.IGNORECASE
)
_PUBLIC = re.compile(r"(^|_)public($|_)", re.IGNORECASE)
_SITE = "https://docs.docker.com/go/dockerfile/rule/"
MOST = 1000
"""Nobody reads more, and each is kept and sent with its lines."""
_SUGGESTED = 200
"""Names that a misspelt one is compared with, and misspelt ones that are compared: it takes its time."""
_ABSOLUTE = re.compile(r"/|[a-zA-Z]:[\\/]|\$")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check found."""

    rule: str
    message: str
    first: int
    last: int

    @property
    def url(self) -> str:
        """Where the check is explained."""
        words = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", self.rule).lower()
        return f"{_SITE}{words}/"


def settings(directive: str) -> tuple[set[str], bool]:
    """Names to skip (or ``all``), and whether findings are errors; raises DockerfileError."""
    skip: set[str] = set()
    fail = False
    for part in filter(None, (text.strip() for text in directive.split(";"))):
        key, _, value = part.partition("=")
        if key.strip() == "skip":
            skip = {name.strip().lower() for name in value.split(",")}
        elif key.strip() == "error" and value.strip().lower() in ("true", "false"):
            fail = value.strip().lower() == "true"
        else:
            raise DockerfileError(f'invalid check option "{part}"')
    return skip, fail


def check(
    file: ins.Dockerfile,
    *,
    given: Globals,
    base_env: Callable[[str], set[str] | None] = lambda name: set(),
    ignored: Matcher | None = None,
) -> list[Finding]:
    """The first :data:`MOST` findings, by line. ``base_env``: an image's variables; None: not known."""
    skip, _ = settings(file.directives.get("check", ""))
    if "all" in skip:
        return []
    found = [*_casing(file), *_stages(file), *_froms(file, given)]
    found += [Finding("NoEmptyContinuation", "Empty continuation line", line, line) for line in file.gaps]
    for stage in file.stages:
        found += [*_repeated(stage), *_instructions(stage, ignored)]
    found += _undefined(file, given, base_env)
    return sorted(
        {item for item in found if item.rule.lower() not in skip},
        key=lambda item: (item.first, item.rule, item.message),
    )[:MOST]


def _finding(rule: str, message: str, item: ins.Instruction) -> Finding:
    return Finding(rule, message, item.line.first, item.line.last)


def _all(file: ins.Dockerfile) -> Iterator[ins.Instruction]:
    yield from file.arguments
    for stage in file.stages:
        yield stage.head
        yield from stage.steps


def _casing(file: ins.Dockerfile) -> Iterator[Finding]:
    spelled = [(item, item.line.spelled) for item in _all(file)]
    upper = sum(1 for _, word in spelled if word.isupper())
    lower = sum(1 for _, word in spelled if word.islower())
    majority = "lowercase" if lower > upper else "uppercase"
    for item, word in spelled:
        if not (word.islower() if majority == "lowercase" else word.isupper()):
            message = f"Command '{word}' should match the case of the command majority ({majority})"
            yield _finding("ConsistentInstructionCasing", message, item)


def _stages(file: ins.Dockerfile) -> Iterator[Finding]:
    names = Counter(stage.name for stage in file.stages if stage.name)
    seen: set[str] = set()
    for stage in file.stages:
        name = stage.head.name
        if not name:
            continue
        if name != name.lower():
            yield _finding("StageNameCasing", f"Stage name '{name}' should be lowercase", stage.head)
        if stage.name in ("scratch", "context"):
            message = f'Stage name should not use the same name as reserved stage "{stage.name}"'
            yield _finding("ReservedStageName", message, stage.head)
        if names[stage.name] > 1 and stage.name in seen:
            message = f'Duplicate stage name "{name}", stage names should be unique'
            yield _finding("DuplicateStageName", message, stage.head)
        seen.add(stage.name)
        keyword = stage.head.line.rest.split()[-2]
        if keyword.isupper() != stage.head.line.spelled.isupper():
            message = f"'{keyword}' and '{stage.head.line.spelled}' keywords' casing do not match"
            yield _finding("FromAsCasing", message, stage.head)


def _froms(file: ins.Dockerfile, given: Globals) -> Iterator[Finding]:
    values, defaults = given.values(), _defaults(file, given)
    declared = {arg for item in file.arguments for arg, _ in item.pairs}
    for stage in file.stages:
        head = stage.head
        lexer = Lexer(file.escape)
        for text in (head.base, head.platform):
            try:
                lexer.word(text, values)
            except DockerfileError as error:
                raise DockerfileError(error.message, head.line.first, head.line.last) from None
        for name in sorted(lexer.missing - declared):
            yield _finding(
                "UndefinedArgInFrom",
                f"FROM argument '{name}' is not declared" + _near(name, set(values)),
                head,
            )
        plain = _by_default(file, defaults, head)
        if not plain or plain.endswith(":") or plain.startswith(":") or ":@" in plain:
            message = f"Default value for ARG {head.base} results in empty or invalid base image name"
            yield _finding("InvalidDefaultArgInFrom", message, head)
        if head.platform in ("$TARGETPLATFORM", "${TARGETPLATFORM}"):
            message = (
                "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default "
                "behavior"
            )
            yield _finding("RedundantTargetPlatform", message, head)
        elif head.platform and "$" not in head.platform:
            message = f'FROM --platform flag should not use constant value "{head.platform}"'
            yield _finding("FromPlatformFlagConstDisallowed", message, head)


def _defaults(file: ins.Dockerfile, given: Globals) -> Globals | None:
    """What holds when no build argument is given; None where one must be, as the file says itself."""
    defaults = Globals({}, given.platform, file.escape)
    try:
        for arg in file.arguments:
            defaults.declare(arg)
    except DockerfileError:
        return None
    return defaults


def _by_default(file: ins.Dockerfile, defaults: Globals | None, head: ins.From) -> str:
    """The base then; ``?`` where it cannot be told."""
    if defaults is None or "$" not in head.base:
        return "?"
    try:
        return expand(head.base, defaults.values(), file.escape, head.line.first)
    except DockerfileError:
        return "?"


def _repeated(stage: ins.Stage) -> Iterator[Finding]:
    kinds = (ins.Cmd, ins.Entrypoint, ins.Healthcheck)
    for kind in kinds:
        found = [item for item in stage.steps if isinstance(item, kind)]
        for item in found[:-1]:
            message = (
                f"Multiple {item.line.word} instructions should not be used in the same stage because only "
                "the last one will be used"
            )
            yield _finding("MultipleInstructionsDisallowed", message, item)


def _instructions(stage: ins.Stage, ignored: Matcher | None) -> Iterator[Finding]:
    based = stage.head.base.lower() != "scratch"
    relative = based
    has_shell = any(isinstance(item, ins.Shell) for item in stage.steps)
    for item in stage.steps:
        if isinstance(item, ins.Cmd | ins.Entrypoint) and item.shell and not has_shell:
            message = (
                f"JSON arguments recommended for {item.line.word} to prevent unintended behavior related to "
                "OS signals"
            )
            yield _finding("JSONArgsRecommended", message, item)
        elif isinstance(item, ins.Maintainer):
            message = "Maintainer instruction is deprecated in favor of using label"
            yield _finding("MaintainerDeprecated", message, item)
        elif isinstance(item, ins.Workdir):
            if relative and not _ABSOLUTE.match(item.path):
                message = (
                    f'Relative workdir "{item.path}" can have unexpected results if the base image changes'
                )
                yield _finding("WorkdirRelativePath", message, item)
            else:
                relative = False
        elif isinstance(item, ins.Env | ins.Labels):
            yield from _legacy(item)
        elif isinstance(item, ins.Expose):
            yield from _ports(item)
        elif isinstance(item, ins.Copy) and ignored is not None and not item.origin:
            for source in item.sources:
                path = source.strip("/").removeprefix("./")
                if path and "://" not in path and not set("*?[") & set(path) and ignored.matches(path):
                    message = (
                        f'Attempting to {item.line.word.capitalize()} file "{source}" that is excluded by '
                        ".dockerignore"
                    )
                    yield _finding("CopyIgnoredFile", message, item)
        yield from _secrets(item)


def _legacy(item: ins.Env | ins.Labels) -> Iterator[Finding]:
    if item.legacy:
        word = item.line.word
        message = f'"{word} key=value" should be used instead of legacy "{word} key value" format'
        yield _finding("LegacyKeyValueFormat", message, item)


def _ports(item: ins.Expose) -> Iterator[Finding]:
    for port in item.ports:
        _, _, protocol = port.partition("/")
        if protocol and protocol != protocol.lower():
            message = f"Defined protocol '{port}' in EXPOSE instruction should be lowercase"
            yield _finding("ExposeProtoCasing", message, item)
        if ":" in port and "$" not in port:
            message = (
                f"EXPOSE instruction should not define an IP address or host-port mapping, found '{port}'"
            )
            yield _finding("ExposeInvalidFormat", message, item)


def _secrets(item: ins.Instruction) -> Iterator[Finding]:
    if isinstance(item, ins.Env | ins.Arg):
        for name, _ in item.pairs:
            if _SECRET.search(name) and not _PUBLIC.search(name):
                message = f'Do not use ARG or ENV instructions for sensitive data ({item.line.word} "{name}")'
                yield _finding("SecretsUsedInArgOrEnv", message, item)


def _undefined(
    file: ins.Dockerfile, given: Globals, base_env: Callable[[str], set[str] | None]
) -> Iterator[Finding]:
    known: dict[str, set[str] | None] = {}
    told = 0
    for stage in file.stages:
        base = expand(stage.head.base, given.values(), file.escape, stage.head.line.first)
        names = known.get(base.lower()) if base.lower() in known else base_env(base)
        env = None if names is None else {*names, "PATH"}
        args: set[str] = set(PREDEFINED)
        for item in stage.steps:
            if env is not None:
                for name in _variables(item, file.escape):
                    if name not in env and name not in args:
                        message = f"Usage of undefined variable '${name}'"
                        if told < _SUGGESTED:
                            message += _near(name, env | args - PREDEFINED, "$")
                        told += 1
                        yield _finding("UndefinedVar", message, item)
                if isinstance(item, ins.Env):
                    env |= {name for name, _ in item.pairs}
            if isinstance(item, ins.Arg):
                args |= {name for name, _ in item.pairs}
        if stage.name:
            known[stage.name] = env


def _variables(item: ins.Instruction, escape: str) -> list[str]:
    texts: list[str] = []
    if isinstance(item, ins.Env | ins.Labels):
        texts = [text for pair in item.pairs for text in pair]
    elif isinstance(item, ins.Arg):
        texts = [value for _, value in item.pairs if value]
    elif isinstance(item, ins.Copy):
        texts = [*item.sources, item.destination, item.chown]
    elif isinstance(item, ins.Workdir):
        texts = [item.path]
    elif isinstance(item, ins.User):
        texts = [item.user]
    elif isinstance(item, ins.Volume):
        texts = list(item.paths)
    elif isinstance(item, ins.Expose):
        texts = list(item.ports)
    elif isinstance(item, ins.StopSignal):
        texts = [item.signal]
    lexer = Lexer(escape)
    for text in texts:
        try:
            lexer.word(text, {})
        except DockerfileError:
            continue
    return sorted(lexer.missing)


def _near(name: str, known: set[str], sign: str = "") -> str:
    """What may have been meant, if there are not too many to look at."""
    if len(known) > _SUGGESTED:
        return ""
    near = difflib.get_close_matches(name, sorted(known), 1, 0.75)
    return f" (did you mean {sign}{near[0]}?)" if near else ""
