"""What each instruction of a Dockerfile says, as data; nothing is expanded or looked up yet."""

from __future__ import annotations

from dataclasses import dataclass, field

from wharfie.build.syntax import Heredoc, Line


@dataclass(frozen=True, slots=True)
class Instruction:
    """What all have."""

    line: Line


@dataclass(frozen=True, slots=True)
class From(Instruction):
    """A stage begins."""

    base: str
    name: str = ""
    platform: str = ""


@dataclass(frozen=True, slots=True)
class Arg(Instruction):
    """Build arguments with their defaults (None: none)."""

    pairs: list[tuple[str, str | None]]


@dataclass(frozen=True, slots=True)
class Env(Instruction):
    """Variables of the image."""

    pairs: list[tuple[str, str]]
    legacy: bool = False


@dataclass(frozen=True, slots=True)
class Labels(Instruction):
    """Labels of the image."""

    pairs: list[tuple[str, str]]
    legacy: bool = False


@dataclass(frozen=True, slots=True)
class Copy(Instruction):
    """``COPY`` and ``ADD``."""

    sources: list[str]
    destination: str
    add: bool = False
    origin: str = ""
    """``--from``."""
    chown: str = ""
    chmod: str = ""
    link: bool = False
    parents: bool = False
    exclude: list[str] = field(default_factory=list)
    checksum: str = ""
    keep_git_dir: bool = False
    unpack: bool | None = None
    documents: list[Heredoc] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Mount:
    """One ``--mount`` of ``RUN``; texts are not expanded yet."""

    kind: str
    target: str = ""
    source: str = ""
    origin: str = ""
    readonly: bool = True
    id: str = ""
    sharing: str = "shared"
    required: bool = False
    mode: int | None = None
    uid: int = 0
    gid: int = 0
    size: int = 0
    env: str = ""


@dataclass(frozen=True, slots=True)
class Command(Instruction):
    """What has a command, as a shell's line or as its words."""

    words: list[str]
    shell: bool


@dataclass(frozen=True, slots=True)
class Run(Command):
    """``RUN``."""

    mounts: list[Mount] = field(default_factory=list)
    network: str = ""
    security: str = ""
    documents: list[Heredoc] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Cmd(Command):
    """``CMD``."""


@dataclass(frozen=True, slots=True)
class Entrypoint(Command):
    """``ENTRYPOINT``."""


@dataclass(frozen=True, slots=True)
class Healthcheck(Command):
    """``HEALTHCHECK``; no words: ``NONE``. Durations in nanoseconds."""

    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True)
class Shell(Instruction):
    """``SHELL``."""

    words: list[str]


@dataclass(frozen=True, slots=True)
class User(Instruction):
    """``USER``."""

    user: str


@dataclass(frozen=True, slots=True)
class Workdir(Instruction):
    """``WORKDIR``."""

    path: str


@dataclass(frozen=True, slots=True)
class Expose(Instruction):
    """``EXPOSE``."""

    ports: list[str]


@dataclass(frozen=True, slots=True)
class Volume(Instruction):
    """``VOLUME``."""

    paths: list[str]


@dataclass(frozen=True, slots=True)
class StopSignal(Instruction):
    """``STOPSIGNAL``."""

    signal: str


@dataclass(frozen=True, slots=True)
class OnBuild(Instruction):
    """``ONBUILD``: an instruction for those who build on the image."""

    expression: str


@dataclass(frozen=True, slots=True)
class Maintainer(Instruction):
    """``MAINTAINER``, deprecated."""

    name: str


@dataclass(frozen=True, slots=True)
class Stage:
    """A ``FROM`` and what follows it."""

    head: From
    steps: list[Instruction]
    index: int

    @property
    def name(self) -> str:
        """Its name, in small letters."""
        return self.head.name.lower()


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """A whole file."""

    arguments: list[Arg]
    """Those before the first ``FROM``."""
    stages: list[Stage]
    escape: str = "\\"
    source: list[str] = field(default_factory=list)
    directives: dict[str, str] = field(default_factory=dict)
    gaps: list[int] = field(default_factory=list)

    def stage(self, name: str) -> Stage | None:
        """The stage of a name, the last one if several have it."""
        found = [stage for stage in self.stages if stage.name and stage.name == name.lower()]
        return found[-1] if found else None
