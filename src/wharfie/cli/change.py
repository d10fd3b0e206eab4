"""``rename``, ``update`` and ``commit``."""

from __future__ import annotations

from wharfie.cli.context import Context, say, warn
from wharfie.cli.create_body import restart_policy
from wharfie.cli.epoch import source_date
from wharfie.cli.errors import CommandError
from wharfie.cli.lifecycle import each
from wharfie.cli.options import Command
from wharfie.cli.references import target
from wharfie.client.api import query, quote
from wharfie.client.errors import ApiError

RENAME = Command(
    "rename CONTAINER NEW_NAME",
    "Give a container another name",
    needs=2,
    most=2,
    aliases="container rename, rename",
)
UPDATE = Command(
    "update [OPTIONS] CONTAINER [CONTAINER...]",
    "Change the limits of containers",
    (
        ("blkio-weight", "", "uint16", "Share of block I/O, 10 to 1000, or 0 to leave it"),
        ("cpu-period", "", "int", "Length of a CPU accounting period, in microseconds"),
        ("cpu-quota", "", "int", "CPU time per period, in microseconds"),
        ("cpu-rt-period", "", "int", "Length of a real-time period, in microseconds"),
        ("cpu-rt-runtime", "", "int", "Real-time CPU time per period, in microseconds"),
        ("cpu-shares", "c", "int", "Share of CPU time when it is scarce"),
        ("cpus", "", "cpus", "Number of CPUs' worth of time"),
        ("cpuset-cpus", "", "string", "CPUs to run on (0-3, 0,1)"),
        ("cpuset-mems", "", "string", "Memory nodes to use (0-3, 0,1)"),
        ("egress", "", "string", 'What it may reach, and nothing else (allow=…, or "none": everything)'),
        ("kernel-memory", "", "bytes", ""),
        ("memory", "m", "bytes", "Most memory the container may use"),
        ("memory-reservation", "", "bytes", "Memory it is held to when memory is scarce"),
        ("memory-swap", "", "swap", "Most memory and swap together; -1: swap without limit"),
        ("network-rate", "", "string", 'How fast it may receive and send (in=…,out=…, or "none")'),
        ("pids-limit", "", "int", "Most processes (-1 for unlimited)"),
        ("publish-add", "", "list", "Publish a further port ([address:][host port:]port[/protocol])"),
        ("publish-rm", "", "list", "Publish this port of the host no more ([address:]port[/protocol])"),
        ("restart", "", "string", "What to do when it exits: no, on-failure[:n], always…"),
    ),
    needs=1,
    aliases="container update, update",
)
_FIELDS = (
    ("blkio-weight", "BlkioWeight"),
    ("cpu-period", "CpuPeriod"),
    ("cpu-quota", "CpuQuota"),
    ("cpu-rt-period", "CpuRealtimePeriod"),
    ("cpu-rt-runtime", "CpuRealtimeRuntime"),
    ("cpu-shares", "CpuShares"),
    ("cpus", "NanoCpus"),
    ("cpuset-cpus", "CpusetCpus"),
    ("cpuset-mems", "CpusetMems"),
    ("kernel-memory", "KernelMemory"),
    ("memory", "Memory"),
    ("memory-reservation", "MemoryReservation"),
    ("memory-swap", "MemorySwap"),
    ("network-rate", "NetworkRate"),
    ("egress", "Egress"),
    ("publish-rm", "PublishRemove"),
    ("pids-limit", "PidsLimit"),
)
COMMIT = Command(
    "commit [OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
    "Make an image of a container's changes",
    (
        ("author", "a", "string", "Author of the image"),
        ("change", "c", "list", "Apply a Dockerfile instruction to the image"),
        ("message", "m", "string", "Message for the image's history"),
        ("pause", "p", "flag", "Freeze the container meanwhile (default true)"),
        ("squash", "", "flag", "One layer in all instead of one more"),
    ),
    needs=1,
    most=2,
    aliases="container commit, commit",
)


def rename(context: Context, arguments: list[str]) -> int:
    """``rename``."""
    _, (old, new) = RENAME.parse(arguments)
    if not old.strip() or not new.strip():
        raise CommandError("Error: Neither old nor new names may be empty")
    try:
        context.api.post(f"/containers/{quote(old)}/rename{query(name=new)}")
    except ApiError as error:
        raise CommandError(f"{error}\nError: failed to rename container named {old}") from None
    return 0


def update(context: Context, arguments: list[str]) -> int:
    """``update``."""
    options, words = UPDATE.parse(arguments)
    if not options:
        raise CommandError("you must provide one or more flags when using this command")
    body = {field: options[name] for name, field in _FIELDS if name in options}
    if "publish-add" in options:
        from wharfie.cli.ports import published

        try:
            _exposed, body["PublishAdd"] = published(options["publish-add"])
        except ValueError as error:
            raise CommandError(str(error)) from None
    if "restart" in options:
        body["RestartPolicy"] = restart_policy(options["restart"])

    def action(word: str) -> str:
        answer = context.api.post(f"/containers/{quote(word)}/update", body) or {}
        for warning in answer.get("Warnings") or []:
            warn(warning)
        return word

    return each(words, action)


def commit(context: Context, arguments: list[str]) -> int:
    """``commit``."""
    options, words = COMMIT.parse(arguments)
    name, tag = target(words)
    asked = query(
        container=words[0],
        repo=name,
        tag=tag,
        comment=options.get("message"),
        author=options.get("author"),
        changes=options.get("change"),
        pause="1" if options.get("pause", True) else "0",
        squash=options.get("squash"),
        epoch=source_date(),
    )
    say(context.api.post(f"/commit{asked}", {})["Id"])
    return 0
