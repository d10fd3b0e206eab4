"""``checkpoint create``, ``ls`` and ``rm``."""

from __future__ import annotations

from wharfie.cli.context import Context, say
from wharfie.cli.options import Command
from wharfie.client.api import query, quote

_DIRECTORY = ("checkpoint-dir", "", "string", "Directory that the checkpoints are in")

CREATE = Command(
    "checkpoint create [OPTIONS] CONTAINER CHECKPOINT",
    "Create a checkpoint from a running container",
    (_DIRECTORY, ("leave-running", "", "flag", "Leave the container running after checkpoint")),
    needs=2,
    most=2,
)
LIST = Command(
    "checkpoint ls [OPTIONS] CONTAINER",
    "List checkpoints for a container",
    (_DIRECTORY,),
    needs=1,
    most=1,
    aliases="checkpoint ls, checkpoint list",
)
REMOVE = Command(
    "checkpoint rm [OPTIONS] CONTAINER CHECKPOINT",
    "Remove a checkpoint",
    (_DIRECTORY,),
    needs=2,
    most=2,
    aliases="checkpoint rm, checkpoint remove",
)


def create(context: Context, arguments: list[str]) -> int:
    """``checkpoint create``: says the checkpoint's name."""
    options, (container, name) = CREATE.parse(arguments)
    body = {
        "CheckpointID": name,
        "CheckpointDir": options.get("checkpoint-dir", ""),
        "Exit": not options.get("leave-running"),
    }
    context.api.post(f"/containers/{quote(container)}/checkpoints", body)
    say(name)
    return 0


def listed(context: Context, arguments: list[str]) -> int:
    """``checkpoint ls``."""
    options, words = LIST.parse(arguments)
    asked = query(dir=options.get("checkpoint-dir"))
    found = context.api.get(f"/containers/{quote(words[0])}/checkpoints{asked}")
    say("CHECKPOINT NAME")
    for item in found or ():
        say(item["Name"])
    return 0


def remove(context: Context, arguments: list[str]) -> int:
    """``checkpoint rm``."""
    options, (container, name) = REMOVE.parse(arguments)
    asked = query(dir=options.get("checkpoint-dir"))
    context.api.call("DELETE", f"/containers/{quote(container)}/checkpoints/{quote(name)}{asked}")
    return 0
