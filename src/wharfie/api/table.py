"""All routes of the API, from the modules of the single nouns."""

from __future__ import annotations

from wharfie.api.backends import Backends
from wharfie.api.router import Route
from wharfie.api.routes import (
    attaching,
    build,
    buildkit,
    checkpoints,
    containers,
    execs,
    files,
    images,
    manifests,
    networks,
    plugins,
    registries,
    store,
    streams,
    swarm,
    system,
    volumes,
)


def all_routes(backends: Backends) -> list[Route]:
    """The whole table."""
    return [
        *containers.routes(backends.containers, backends.processes),
        *checkpoints.routes(backends.checkpoints),
        *streams.routes(backends.containers, backends.processes, backends.streams, backends.system),
        *attaching.routes(backends.streams),
        *execs.routes(backends.execs),
        *files.routes(backends.files),
        *store.routes(backends.store),
        *images.routes(backends.images, backends.registries),
        *registries.routes(backends.registries),
        *manifests.routes(backends.registries),
        *build.routes(backends.builds),
        *buildkit.routes(backends.builds),
        *volumes.routes(backends.volumes),
        *networks.routes(backends.networks),
        *system.routes(backends.system, backends.builds),
        *plugins.routes(),
        *swarm.routes(),
    ]
