"""``docker inspect`` of a container."""

from __future__ import annotations

import asyncio

from wharfie.engine import endpoints, writable
from wharfie.engine.container import Container
from wharfie.engine.context import Context
from wharfie.engine.words import mount_points, state, time_text
from wharfie.errors import NotFound
from wharfie.wire.containers import ContainerInspect, GraphDriver


class Inspection:
    """The verb ``inspect``."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def inspect(self, container: Container, size: bool) -> ContainerInspect:
        """Everything about one container; ``size`` walks its files."""
        own = await asyncio.to_thread(writable.written_size, container) if size else None
        try:
            image = self._context.images.by_id(container.image_id)
        except NotFound:
            image = None
        lower = ":".join(image.lower) if image else ""
        return ContainerInspect(
            id=container.id,
            created=time_text(container.created),
            path=container.record.path,
            args=container.record.args,
            state=state(container.status, container.health),
            image=container.image_id,
            resolv_conf_path=f"{container.directory}/resolv.conf",
            hostname_path=f"{container.directory}/hostname",
            hosts_path=f"{container.directory}/hosts",
            log_path=container.log_path,
            name=f"/{container.name}",
            restart_count=container.status.restart_count,
            driver="overlay2",
            exec_ids=sorted(container.exec_ids) or None,
            host_config=container.host_config,
            graph_driver=GraphDriver(
                name="overlay2",
                data={
                    "LowerDir": lower,
                    "UpperDir": container.upper,
                    "WorkDir": container.work,
                },
            ),
            size_rw=own,
            size_root_fs=own + (image.size if image else 0) if own is not None else None,
            mounts=mount_points(container),
            config=container.config,
            network_settings=endpoints.settings(self._context, container),
        )
