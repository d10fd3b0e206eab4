"""The commands that make processes: create, run, exec."""

from __future__ import annotations

import _socket
import os
import time

from wharfie.errors import Conflict, InvalidArgument, NotFound
from wharfie.linux.fd import send_fds
from wharfie.linux.process import pidfd_send_signal, wait_pidfd
from wharfie.runtime import control, foreground
from wharfie.runtime.join import Process, Target, exec_process
from wharfie.runtime.launch import Launch
from wharfie.runtime.parent import Container, create
from wharfie.runtime.state import Record, Store
from wharfie.support import json
from wharfie.support.files import atomic_write, read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def read_spec(bundle: str) -> dict[str, Any]:
    """The bundle's config.json; raises InvalidArgument."""
    try:
        spec = json.loads(read_file(f"{bundle}/config.json", 1 << 24))
    except FileNotFoundError:
        raise NotFound(f"JSON specification file config.json not found in {bundle}") from None
    except ValueError as error:
        raise InvalidArgument(f"config.json in {bundle} cannot be read: {error}") from None
    if not isinstance(spec, dict) or not isinstance(spec.get("process") or {}, dict):
        raise InvalidArgument(f"config.json in {bundle} is not a runtime configuration")
    return spec


def create_container(store: Store, options: dict[str, Any], words: list[str], *, detached: bool) -> Container:
    """Make a container that waits to be started; its record is on disk. Raises WharfieError."""
    name = control.one(words, "create")
    bundle = os.path.abspath(options.get("bundle") or ".")
    spec = read_spec(bundle)
    terminal = bool((spec.get("process") or {}).get("terminal"))
    if detached and terminal and not options.get("console-socket"):
        raise InvalidArgument("cannot allocate tty if runc will detach without setting console socket")
    if options.get("console-socket") and not (terminal and detached):
        raise InvalidArgument("cannot use console socket if runc will not detach or allocate tty")
    directory = store.reserve(name)
    try:
        return _create(directory, name, bundle, spec, options)
    except BaseException:
        Record(directory, _content(name, bundle, spec)).forget()
        raise


def _content(name: str, bundle: str, spec: dict[str, Any]) -> dict[str, Any]:
    created = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + f".{time.time_ns() % 10**9:09d}Z"
    return {
        "id": name,
        "pid": 0,
        "start_time": 0,
        "bundle": bundle,
        "cgroup": (spec.get("linux") or {}).get("cgroupsPath") or f"/{name}",
        "created": created,
        "owner": "root" if os.geteuid() == 0 else str(os.geteuid()),
        "spec": spec,
    }


def _create(
    directory: str, name: str, bundle: str, spec: dict[str, Any], options: dict[str, Any]
) -> Container:
    record = Record(directory, _content(name, bundle, spec))
    os.mkfifo(record.fifo, 0o600)
    gate = os.open(record.fifo, os.O_RDWR | os.O_CLOEXEC)
    try:
        launch = Launch(
            name,
            spec,
            bundle=bundle,
            cgroup=record.cgroup,
            gate=gate,
            pivot=not options.get("no-pivot"),
            keyring=not options.get("no-new-keyring"),
            preserve_fds=int(os.environ.get("LISTEN_FDS") or 0) + (options.get("preserve-fds") or 0),
        )
        container = create(launch, start=False)
        control.warn(container.warnings)
    finally:
        os.close(gate)
    try:
        record.pid, record.start_time = container.pid, container.start_time
        record.write()
        _hand_over(options, container.pid, container.console)
    except BaseException:
        pidfd_send_signal(container.pidfd, 9)
        wait_pidfd(container.pidfd)
        container.destroy()
        raise
    return container


def _hand_over(options: dict[str, Any], pid: int, console: int | None) -> None:
    if options.get("console-socket") and console is not None:
        sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
        sock.connect(options["console-socket"])
        send_fds(sock, b"/dev/pts/ptmx", (console,))
        sock.close()
    if options.get("pid-file"):
        atomic_write(options["pid-file"], str(pid).encode(), mode=0o644, sync=False)


def do_create(store: Store, options: dict[str, Any], words: list[str]) -> int:
    """``create``."""
    create_container(store, options, words, detached=True)
    return 0


def do_run(store: Store, options: dict[str, Any], words: list[str]) -> int:
    """``run``: create, start, and unless detached stay with it to its end."""
    detached = bool(options.get("detach"))
    container = create_container(store, options, words, detached=detached)
    record = store.load(container.id)
    control.release(record)
    if detached:
        return 0
    code = foreground.stay(container.pidfd, container.console)
    container.warnings.clear()
    container.destroy()
    control.warn(container.warnings)
    container.close()
    if not options.get("keep"):
        record.forget()
    return code


def do_exec(store: Store, options: dict[str, Any], words: list[str]) -> int:
    """``exec``: a further process in a container."""
    if not words or (len(words) < 2 and not options.get("process")):
        raise InvalidArgument('"exec" requires a container\'s id and a command')
    record = store.load(words[0])
    status = record.status()
    if status == "paused" and not options.get("ignore-paused"):
        raise Conflict("cannot exec in a paused container")
    if status in ("stopped", "created"):
        raise Conflict(f"cannot exec in a {status} container")
    process = _exec_process(record, options, words[1:])
    detached = bool(options.get("detach"))
    if detached and process.get("terminal") and not options.get("console-socket"):
        raise InvalidArgument("cannot allocate tty if runc will detach without setting console socket")
    pidfd = record.pidfd()
    target = Target(
        id=record.id,
        pid=record.pid,
        pidfd=pidfd,
        cgroup=record.cgroup,
        spec=record.spec,
        bundle=record.bundle,
    )
    made: Process = exec_process(
        target, process, seccomp=_program(record), preserve_fds=options.get("preserve-fds") or 0
    )
    _hand_over(options, made.pid, made.console)
    if detached:
        return 0
    return foreground.stay(made.pidfd, made.console)


def _program(record: Record) -> bytes | None:
    profile = (record.spec.get("linux") or {}).get("seccomp")
    if not profile:
        return None
    from wharfie.runtime.seccomp_compile import compile_program  # warm: only with a profile

    return compile_program(profile)


def _exec_process(record: Record, options: dict[str, Any], args: list[str]) -> dict[str, Any]:
    if options.get("process"):
        found: dict[str, Any] = json.loads(read_file(options["process"], 1 << 24))
        return found
    process = dict(record.spec.get("process") or {})
    process["args"] = args
    process["env"] = [*(process.get("env") or ()), *options.get("env", ())]
    process["terminal"] = bool(options.get("tty"))
    process["cwd"] = options.get("cwd") or process.get("cwd") or "/"
    if options.get("no-new-privs"):
        process["noNewPrivileges"] = True
    for option, key in (("apparmor", "apparmorProfile"), ("process-label", "selinuxLabel")):
        if options.get(option):
            process[key] = options[option]
    if options.get("user"):
        uid, _colon, gid = options["user"].partition(":")
        if not uid.isdigit() or (gid and not gid.isdigit()):
            raise InvalidArgument(f"parsing {options['user']} as int for uid failed: invalid syntax")
        process["user"] = {"uid": int(uid), "gid": int(gid or 0)}
    if options.get("additional-gids"):
        gids = [int(item) for word in options["additional-gids"] for item in word.split(",")]
        process["user"] = {**(process.get("user") or {}), "additionalGids": gids}
    if options.get("cap"):
        sets = process.get("capabilities") or {}
        process["capabilities"] = {
            name: [*(sets.get(name) or ()), *options["cap"]]
            for name in ("bounding", "effective", "permitted", "inheritable", "ambient")
        }
    return process
