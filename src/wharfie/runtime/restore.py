"""The command restore: a container once more, from the images of a checkpoint."""

from __future__ import annotations

import posix as os

from wharfie.errors import NotSupported
from wharfie.runtime import foreground, handover, log
from wharfie.runtime.commands import new_record, read_bundle
from wharfie.runtime.criu import options as words
from wharfie.runtime.criu import restoring, service
from wharfie.runtime.criu.dumping import make_directory
from wharfie.runtime.criu.failing import failure
from wharfie.runtime.launch import Launch
from wharfie.runtime.parent import Container
from wharfie.runtime.state import Record, Store, streams_of
from wharfie.support import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def do_restore(store: Store, options: dict[str, Any], positional: list[str]) -> int:
    """``restore``: unless detached stay with the container to its end."""
    if options["unprivileged"]:
        raise NotSupported("CRIU can checkpoint and restore containers for the host's root only")
    bundle, spec = read_bundle(options)
    detached = bool(options.get("detach"))
    terminal = bool((spec.get("process") or {}).get("terminal"))
    handover.check_console(options, terminal=terminal, detached=detached)
    record = new_record(store, positional[0], bundle, spec, options)
    store.reserve(record)
    try:
        record.write()
        container = _restore(record, options)
    except BaseException:
        record.forget()
        raise
    finally:
        record.unlock()
    if detached:
        return 0
    code = foreground.stay_to_the_end(container)
    record.forget()
    return code


def _restore(record: Record, options: dict[str, Any]) -> Container:
    told = words.restoring(options)
    version = service.check_version(options["criu"])
    images = words.image_path(options)
    descriptors = restoring.read_descriptors(images)
    words.check_searchable(images, record.spec.get("linux") or {})
    launch = Launch(record.id, record.spec, bundle=record.bundle, cgroup=record.cgroup, unit=record.unit())
    work = paths.abspath(options["work-path"]) if options.get("work-path") else images
    make_directory(work)
    try:
        restore = restoring.Restore(
            launch,
            options["criu"],
            directory=record.directory,
            images=images,
            work=work,
            told=told,
            there=lambda container: _hand_over(record, options, container),
        )
        container = restore.run(descriptors)
    except service.CriuFailure as error:
        raise failure(error, "RESTORE", version, f"{work}/restore.log") from None
    log.warn(container.warnings)
    return container


def _hand_over(record: Record, options: dict[str, Any], container: Container) -> None:
    """The first process is there and does not run yet: whoever reads the record finds it."""
    record.note_process(container.pid, container.start_time)
    # until it runs its streams are CRIU's
    record.descriptors = streams_of(os.getpid())
    record.work_out()
    record.write()
    handover.hand_over(options, container.pid, container.pidfd, container.console, "standard")
