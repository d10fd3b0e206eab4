"""Commands and options of docker's command line that ours does not have, each with the reason.

A test fails when anything else is missing, and when something stands here that is there.
"""

from __future__ import annotations

_SWARM = "there is no swarm"

GROUPS = {
    "config": _SWARM,
    "node": _SWARM,
    "secret": _SWARM,
    "service": _SWARM,
    "stack": _SWARM,
    "swarm": _SWARM,
    "plugin": "the engine has no plugins",
    "trust": "Docker Content Trust, which Docker retires: no signatures are made or verified, and who asks "
    "for them (`DOCKER_CONTENT_TRUST`, `--disable-content-trust=false`) is refused",
}

OPTIONS: dict[str, dict[str, str]] = {}
