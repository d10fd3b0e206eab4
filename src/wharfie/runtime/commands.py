"""The commands that make containers: create, run."""

from __future__ import annotations

import posix as os
import time

from wharfie.errors import InvalidArgument, NotFound
from wharfie.linux.process import pidfd_send_signal, wait_pidfd
from wharfie.runtime import handover, log
from wharfie.runtime.launch import Launch
from wharfie.runtime.parent import Container, create
from wharfie.runtime.state import Record, Store
from wharfie.runtime.sync import describe
from wharfie.spec.schema import CONFIG, check, check_version
from wharfie.support import json, paths
from wharfie.support.files import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def read_bundle(options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """(the bundle's absolute path, its config.json); raises InvalidArgument, NotFound."""
    bundle = paths.abspath(options.get("bundle") or ".")
    if not paths.isdir(bundle):
        raise NotFound(f"chdir {bundle}: no such file or directory")
    path = f"{bundle}/config.json"
    if paths.exists(path) and not paths.isfile(path):
        # nobody need ever write to a FIFO
        raise InvalidArgument("config.json is not a regular file")
    try:
        spec = json.loads(read_file(path, 1 << 24))
    except FileNotFoundError:
        raise NotFound("JSON specification file config.json not found") from None
    except ValueError as error:
        raise InvalidArgument(f"config.json cannot be read: {error}") from None
    except OSError as error:
        raise InvalidArgument(f"config.json cannot be read: {describe(error)}") from None
    if not isinstance(spec, dict):
        raise InvalidArgument("config.json must be an object")
    check(spec, CONFIG, "")
    check_version(spec["ociVersion"])
    return bundle, spec


def create_container(
    store: Store, options: dict[str, Any], words: list[str], *, detached: bool
) -> tuple[Container, Record]:
    """Make a container that waits to be started; its record is on disk. Raises WharfieError."""
    bundle, spec = read_bundle(options)
    terminal = bool((spec.get("process") or {}).get("terminal"))
    handover.check_console(options, terminal=terminal, detached=detached)
    record = new_record(store, words[0], bundle, spec, options)
    store.reserve(record)
    try:
        record.write()
        return _create(record, options), record
    except BaseException:
        record.forget()
        raise
    finally:
        record.unlock()


def new_record(store: Store, name: str, bundle: str, spec: dict[str, Any], options: dict[str, Any]) -> Record:
    """The record of a container that is to be made."""
    fraction = f"{time.time_ns() % 10**9:09d}".rstrip("0")
    created = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + (f".{fraction}Z" if fraction else "Z")
    linux = spec.get("linux") or {}
    rootless = options["unprivileged"] if options["lenient"] is None else options["lenient"]
    cgroup, unit = linux.get("cgroupsPath") or "", ""
    if options["systemd"]:
        from wharfie.runtime.cgroups import systemd

        slice_, scope = systemd.parse(cgroup, name)
        cgroup, unit = systemd.path_of(slice_, scope), f"{slice_} {scope}"
    elif rootless and not cgroup:
        from wharfie.runtime.cgroups.rootless import default_path  # for those who are not root

        cgroup = default_path(name)
    return Record(
        store.directory(name),
        name,
        bundle=bundle,
        created=created,
        cgroup=cgroup or f"/{name}",
        spec=spec,
        systemd=unit,
        rootless=rootless,
    )


def _create(record: Record, options: dict[str, Any]) -> Container:
    os.mkfifo(record.fifo, 0o600)
    gate = os.open(record.fifo, os.O_RDWR | os.O_CLOEXEC)
    try:
        launch = Launch(
            record.id,
            record.spec,
            bundle=record.bundle,
            cgroup=record.cgroup,
            gate=gate,
            seccomp=_seccomp(record.spec),
            pivot=not options.get("no-pivot"),
            keyring=not options.get("no-new-keyring"),
            preserve_fds=handover.preserved(options),
            unit=record.unit(),
            unprivileged=options["unprivileged"],
            whatever_cgroup=record.whatever_cgroup,
            console_size=_own_size(record.spec, options),
        )
        container = create(launch, start=False, meanwhile=lambda _: _prepare_the_rest(record))
        log.warn(container.warnings)
    finally:
        os.close(gate)
    try:
        record.note_process(container.pid, container.start_time)
        record.write()
        handover.hand_over(options, container.pid, container.pidfd, container.console, "standard")
    except BaseException:
        pidfd_send_signal(container.pidfd, 9)
        wait_pidfd(container.pidfd)
        container.destroy()
        raise
    return container


def _own_size(spec: dict[str, Any], options: dict[str, Any]) -> tuple[int, int] | None:
    """The size of our own terminal for a container that runs in it and has none of its own in mind."""
    process = spec.get("process") or {}
    if not process.get("terminal") or process.get("consoleSize") or options.get("console-socket"):
        return None
    try:
        size = os.get_terminal_size(0)
    except OSError:
        return None
    return size.lines, size.columns


def _seccomp(spec: dict[str, Any]) -> bytes | None:
    profile = (spec.get("linux") or {}).get("seccomp")
    if not profile:
        return None
    from wharfie.runtime.seccomp_cache import program_of

    return program_of(profile)


def _prepare_the_rest(record: Record) -> None:
    from wharfie.runtime import control, foreground  # noqa: F401

    record.work_out()


def do_create(store: Store, options: dict[str, Any], words: list[str]) -> int:
    """``create``."""
    create_container(store, options, words, detached=True)
    return 0


def do_run(store: Store, options: dict[str, Any], words: list[str]) -> int:
    """``run``: create, start, and unless detached stay with it to its end."""
    detached = bool(options.get("detach"))
    container, record = create_container(store, options, words, detached=detached)
    from wharfie.runtime import control, foreground

    control.release(record)
    if detached:
        return 0
    code = foreground.stay_to_the_end(container)
    if not options.get("keep"):
        record.forget()
    return code
