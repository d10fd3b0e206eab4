"""Requests and answers about processes started in a running container."""

from __future__ import annotations

from wharfie.wire.base import Wire, always, named


class ExecCreate(Wire, frozen=True, kw_only=True):
    """Body of ``POST /containers/{id}/exec``."""

    user: str = always("")
    privileged: bool = always(False)
    tty: bool = always(False)
    console_size: tuple[int, int] | None = None
    attach_stdin: bool = always(False)
    attach_stderr: bool = always(False)
    attach_stdout: bool = always(False)
    detach_keys: str = always("")
    env: list[str] | None = always(None)
    working_dir: str = always("")
    cmd: list[str] | None = always(None)


class ExecStart(Wire, frozen=True, kw_only=True):
    """Body of ``POST /exec/{id}/start``."""

    detach: bool = always(False)
    tty: bool = always(False)
    console_size: tuple[int, int] | None = None


class ProcessConfig(Wire, frozen=True, kw_only=True):
    """The process of an exec, in the spelling of old (lower case)."""

    tty: bool = always(False, "tty")
    entrypoint: str = always("", "entrypoint")
    arguments: list[str] = always([], "arguments")
    privileged: bool = always(False, "privileged")
    user: str = always("", "user")


class ExecInspect(Wire, frozen=True, kw_only=True):
    """Everything about one exec."""

    id: str = named("ID")
    running: bool
    exit_code: int | None = always(None)
    process_config: ProcessConfig
    open_stdin: bool = always(False)
    open_stderr: bool = always(False)
    open_stdout: bool = always(False)
    can_remove: bool = always(False)
    container_id: str = named("ContainerID")
    detach_keys: str = always("")
    pid: int = always(0)
