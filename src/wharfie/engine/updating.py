"""Changing a container that is there: its name, its limits, its restart policy, the size of its terminal."""

from __future__ import annotations

import asyncio

import msgspec

from wharfie.engine import republishing, restart, validate
from wharfie.engine.container import Container, State
from wharfie.engine.context import Context
from wharfie.engine.oci.host import this_host
from wharfie.engine.oci.resources import resources
from wharfie.engine.stopping import NotRunning
from wharfie.errors import Conflict, InvalidArgument
from wharfie.runtime.cgroups.select import open_cgroup
from wharfie.support.faults import point
from wharfie.wire.config import HostConfig, Resources
from wharfie.wire.containers import UpdateContainer

# what Docker lets be changed on a container that exists
_CHANGEABLE = (
    "blkio_weight",
    "cpu_shares",
    "nano_cpus",
    "cpu_period",
    "cpu_quota",
    "cpu_realtime_period",
    "cpu_realtime_runtime",
    "cpuset_cpus",
    "cpuset_mems",
    "memory",
    "memory_swap",
    "memory_reservation",
    "pids_limit",
)


class Updating:
    """The verbs ``rename``, ``update`` and ``resize``."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def rename(self, container: Container, name: str) -> None:
        """Give it another name; raises InvalidArgument, NameInUse."""
        if not name:
            raise InvalidArgument("Neither old nor new names may be empty")
        try:
            bare = validate.name(name)
        except InvalidArgument as error:
            message = error.message.replace("(", "(/", 1)
            raise InvalidArgument(f"Error when allocating new name: {message}") from None
        async with container.lock:
            old = container.name
            if bare == old:
                raise InvalidArgument("Renaming a container with the same name as its current name")
            self._context.registry.rename(container, bare)
            self._context.registry.emit(container, "rename", {"oldName": f"/{old}"})

    async def update(self, container: Container, body: UpdateContainer) -> list[str]:
        """Change limits, at once when it runs; the warnings. Raises InvalidArgument, Conflict."""
        host = this_host()
        if body.restart_policy.name or body.restart_policy.maximum_retry_count:
            restart.validate(body.restart_policy)
        checked, warnings = validate.resources(body, host, update=True)
        async with container.lock:
            if container.status.state in (State.REMOVING, State.DEAD):
                raise Conflict(
                    f"Cannot update container {container.id}: Container is marked for removal and cannot be "
                    '"update".'
                )
            changed = _merge(container.host_config, checked)
            about_networks = republishing.asks(body)
            if about_networks:
                seats = self._context.networks.endpoints(container.id)
                wished = republishing.merged(container, body, seats)
                republishing.check(self._context, container, wished)
                changed = msgspec.structs.replace(
                    changed,
                    port_bindings=wished.port_bindings,
                    network_rate=wished.network_rate,
                    egress=wished.egress,
                )
            if changed.auto_remove and changed.restart_policy.name not in ("", "no"):
                raise Conflict(
                    f"Cannot update container {container.id}: Restart policy cannot be updated because "
                    "AutoRemove is enabled for the container"
                )
            link = container.link
            before, after = resources(container.host_config), resources(changed)
            if container.status.running and link is not None and before != after:
                try:
                    await asyncio.to_thread(open_cgroup(link.cgroup).set, _difference(before, after))
                except OSError as error:
                    raise Conflict(f"Cannot update container {container.id}: {error}") from error
            exposed = {
                **(container.config.exposed_ports or {}),
                **{name: {} for name in body.publish_add or {}},
            }
            config = msgspec.structs.replace(container.config, exposed_ports=exposed or None)
            record = msgspec.structs.replace(container.record, host_config=changed, config=config)
            live = container.status.running and about_networks
            with self._context.registry.transaction():
                if live:
                    republishing.apply(self._context, container, body, changed)
                self._context.registry.set_record(container, record)
            point("an update is recorded")
            if live:
                await republishing.settle(self._context, container, body)
            self._context.registry.emit(container, "update")
        return warnings

    async def resize(self, container: Container, height: int, width: int) -> None:
        """Set the size of its terminal; raises NotRunning."""
        link = container.link
        if not container.status.running or link is None:
            raise NotRunning(f"container {container.id} is not running")
        if not 0 <= height < 65_536 or not 0 <= width < 65_536:
            raise InvalidArgument(f"invalid terminal size: {height} x {width}")
        if container.tty:
            # without one there is nothing to do, which Docker does not call an error
            await link.resize(height, width)
        self._context.registry.emit(container, "resize", {"height": str(height), "width": str(width)})


def _merge(current: HostConfig, asked: Resources) -> HostConfig:
    """What was given replaces what was; zero and empty mean "as it is"."""
    changes: dict[str, object] = {
        name: getattr(asked, name) for name in _CHANGEABLE if getattr(asked, name) not in (0, "", None)
    }
    policy = getattr(asked, "restart_policy", None)
    if policy is not None and policy.name:
        changes["restart_policy"] = policy
    _check(current, changes)
    return msgspec.structs.replace(current, **changes)


def _check(current: HostConfig, changes: dict[str, object]) -> None:
    memory, swap = changes.get("memory"), changes.get("memory_swap")
    if isinstance(memory, int) and swap is None and 0 < current.memory_swap < memory:
        raise Conflict(
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the "
            "same time"
        )
    if isinstance(swap, int) and memory is None and not current.memory and swap > 0:
        raise InvalidArgument("You should always set the Memory limit when using Memoryswap limit, see usage")
    if changes.get("nano_cpus") and (current.cpu_period or current.cpu_quota):
        name = "CPU Period" if current.cpu_period else "CPU Quota"
        raise InvalidArgument(
            f"Conflicting options: Nano CPUs cannot be updated as {name} has already been set"
        )
    if current.nano_cpus and (changes.get("cpu_period") or changes.get("cpu_quota")):
        name = "CPU Period" if changes.get("cpu_period") else "CPU Quota"
        raise InvalidArgument(
            f"Conflicting options: {name} cannot be updated as NanoCPUs has already been set"
        )


def _difference(before: dict[str, object], after: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in after.items() if before.get(name) != value}
