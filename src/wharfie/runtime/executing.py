"""The command exec: a further process in a container."""

from __future__ import annotations

from wharfie.errors import Conflict, InvalidArgument
from wharfie.runtime import handover, log
from wharfie.runtime.join import Target, exec_process
from wharfie.runtime.state import Record, Store
from wharfie.runtime.sync import describe
from wharfie.spec.schema import PROCESS, check
from wharfie.support import json
from wharfie.support.files import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def do_exec(store: Store, options: dict[str, Any], words: list[str]) -> int:
    """``exec``."""
    record = store.load(words[0])
    status = record.status()
    if status == "paused" and not options.get("ignore-paused"):
        raise Conflict("cannot exec in a paused container (use --ignore-paused to override)")
    if status in ("stopped", "creating"):
        raise Conflict(f"cannot exec in a {status} container")
    if options.get("process"):
        process = _read_process(options["process"])
    elif len(words) < 2:
        raise InvalidArgument("process args cannot be empty")
    else:
        process = merge(record, options, words[1:])
    detached = bool(options.get("detach"))
    handover.check_console(options, terminal=bool(process.get("terminal")), detached=detached)
    target = Target(
        id=record.id,
        pid=record.pid,
        pidfd=record.pidfd(),
        cgroup=record.cgroup,
        spec=record.spec,
        bundle=record.bundle,
        below=_groups(options.get("cgroup") or []),
        group=record.open_cgroup() if record.rootless else None,
    )
    made = exec_process(
        target,
        process,
        seccomp=_seccomp(record.spec),
        preserve_fds=handover.preserved(options),
    )
    log.warn(made.warnings)
    handover.hand_over(options, made.pid, made.pidfd, made.console, "setns")
    if detached:
        return 0
    from wharfie.runtime import foreground

    return foreground.stay(made.pidfd, made.console)


def _seccomp(spec: dict[str, Any]) -> bytes | None:
    profile = (spec.get("linux") or {}).get("seccomp")
    if not profile:
        return None
    from wharfie.runtime.seccomp_cache import program_of

    return program_of(profile)


def _read_process(path: str) -> dict[str, Any]:
    try:
        process = json.loads(read_file(path, 1 << 24))
    except OSError as error:
        raise InvalidArgument(f"open {describe(error)}") from None
    except ValueError as error:
        raise InvalidArgument(f"{path} cannot be read: {error}") from None
    if not isinstance(process, dict):
        raise InvalidArgument(f"{path} is not a process")
    check(process, PROCESS, "process")
    return process


def _groups(words: list[str]) -> dict[str, str]:
    """Paths below the container's cgroup by controller, "" for all; raises InvalidArgument."""
    found: dict[str, str] = {}
    for word in words:
        controllers, colon, path = word.rpartition(":")
        if ".." in path.split("/"):
            raise InvalidArgument(f"--cgroup {word} would leave the container's control group")
        for name in controllers.split(",") if colon else [""]:
            if name in found:
                raise InvalidArgument(f"--cgroup names {name or 'all controllers'} twice")
            found[name] = path
    return found


def merge(record: Record, options: dict[str, Any], args: list[str]) -> dict[str, Any]:
    """The container's own process with what the options change; raises InvalidArgument."""
    process = dict(record.spec.get("process") or {})
    process["args"] = args
    process["env"] = [*(process.get("env") or ()), *options.get("env", ())]
    process["terminal"] = bool(options.get("tty"))
    process["cwd"] = options.get("cwd") or process.get("cwd") or "/"
    if "no-new-privs" in options:
        process["noNewPrivileges"] = options["no-new-privs"]
    for option, key in (("apparmor", "apparmorProfile"), ("process-label", "selinuxLabel")):
        if options.get(option):
            process[key] = options[option]
    process["user"] = _user(process.get("user") or {}, options)
    if options.get("cap"):
        sets = process.get("capabilities") or {}
        names = ["bounding", "effective", "permitted"]
        # an ambient capability must be inheritable too, and those are the configuration's
        names += ["ambient"] if sets.get("inheritable") else []
        process["capabilities"] = {
            **sets,
            **{name: [*(sets.get(name) or ()), *options["cap"]] for name in names},
        }
    return process


def _user(user: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    user = dict(user)
    if options.get("user"):
        text = options["user"]
        uid, _colon, gid = text.partition(":")
        for word, key in ((gid, "gid"), (uid, "uid")):
            if word or key == "uid":
                user[key] = _id(text, word, key)
        user.pop("username", None)
    gids = [part for word in options.get("additional-gids", ()) for part in word.split(",")]
    if gids:
        further = [_id(part, part, "additional-gids") for part in gids]
        user["additionalGids"] = [*(user.get("additionalGids") or ()), *further]
    return user


def _id(text: str, word: str, key: str) -> int:
    if not (word.isascii() and word.isdigit()):
        raise InvalidArgument(f'parsing {text} as int for {key} failed: "{word}" is not a number')
    return int(word)
