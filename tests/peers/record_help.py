"""Every command of docker's command line with its other names and options, from its ``--help``."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from tests.peers import docker

RECORDING = Path(__file__).parent / "recordings" / "help.json"
_COMMAND = re.compile(r"  ([a-z][a-z-]*)(?: |$)")
_OPTION = re.compile(r"(?:  -(\w), |      )--([a-z0-9][a-z0-9-]*)")
# in no list of commands, but there
_HIDDEN = ("system dial-stdio",)


def read(text: str) -> tuple[list[str], dict[str, str], list[str]]:
    """One help text's commands (no plugins'), options with short names, and other names of the command."""
    section = ""
    commands, options, aliases = [], {}, []
    for line in text.splitlines():
        if not line.startswith(" "):
            section = line.rpartition(" ")[2] if line.endswith(":") else ""
        elif section == "Commands:" and (found := _COMMAND.match(line)):
            commands.append(found[1])
        elif section == "Options:" and (found := _OPTION.match(line)):
            options[found[2]] = found[1] or ""
        elif section == "Aliases:":
            aliases += re.findall(r"docker ([a-z -]+)", line)
    return commands, options, aliases


def record() -> dict[str, Any]:
    """The whole tree of commands; ``""`` holds the global options."""
    program = docker.docker_cli()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="help-") as settings:
        # the classic builder's options: buildx is a program of its own
        environment = {**os.environ, "DOCKER_CONFIG": settings, "DOCKER_BUILDKIT": "0"}

        def ask(*words: str) -> str:
            done = subprocess.run(
                [program, *words], check=True, capture_output=True, text=True, env=environment, timeout=30
            )
            return done.stdout

        version = ask("--version").split()[2].rstrip(",")
        waiting = ["", *_HIDDEN]
        while waiting:
            name = waiting.pop(0)
            commands, options, aliases = read(ask(*name.split(), "--help"))
            waiting += [f"{name} {command}".strip() for command in commands]
            found[name] = {
                "options": options,
                "aliases": sorted(set(aliases) - {name}),
                "group": bool(commands),
            }
    return {"client": version, "commands": found}


def main() -> None:
    """Write the recording."""
    RECORDING.write_text(json.dumps(record(), indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
