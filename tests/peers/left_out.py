"""Commands and options of docker's command line that ours does not have, each with the reason.

A test fails when anything else is missing, and when something stands here that is there.
"""

from __future__ import annotations

_SWARM = "there is no swarm"
_CLUSTER = "volumes of a cluster need a swarm"

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
    "checkpoint": "not there yet: containers cannot be checkpointed",
}

OPTIONS = {
    "build": {"isolation": "for Windows containers only"},
    "network create": {
        "config-from": "not there yet: networks whose settings are kept apart",
        "config-only": "not there yet: networks whose settings are kept apart",
        "ingress": _SWARM,
    },
    "volume create": dict.fromkeys(
        (
            *("availability", "group", "limit-bytes", "required-bytes", "scope", "secret", "sharing"),
            *("topology-preferred", "topology-required", "type"),
        ),
        _CLUSTER,
    ),
    "volume ls": {"cluster": _CLUSTER},
}
for _one, _same in (
    ("builder build", "build"),
    ("image build", "build"),
):
    OPTIONS[_one] = OPTIONS[_same]
