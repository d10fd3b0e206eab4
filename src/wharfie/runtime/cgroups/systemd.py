"""Control groups that systemd makes: a container is a scope of its, with the group delegated to us.

A scope needs a process to begin with, and systemd moves it there by its id. So a placeholder goes first and
the container's first process joins it as it does everywhere, born in the group or entering by itself::

    fork placeholder ─> StartTransientUnit(PIDs) ─> JobRemoved ─> our limits ─> clone ─> placeholder ends
    delete: our group goes ─> StopUnit ─> ResetFailedUnit

The limits are told to systemd, too, or it would put back its own when it reloads. Loaded only on demand.
"""

from __future__ import annotations

import posix as os
import select

from wharfie.errors import InvalidArgument
from wharfie.linux.credentials import PR_SET_PDEATHSIG, prctl
from wharfie.linux.dbus import Bus, BusError
from wharfie.linux.process import fork_into, pidfd_send_signal, wait_pidfd
from wharfie.runtime.cgroups.errors import CgroupFailure
from wharfie.runtime.cgroups.layout import layout
from wharfie.runtime.cgroups.v2_limits import weight_of_shares
from wharfie.support.environment import variable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_DESTINATION = "org.freedesktop.systemd1"
_PATH = "/org/freedesktop/systemd1"
_MANAGER = "org.freedesktop.systemd1.Manager"
_BUS = "/run/dbus/system_bus_socket"
_INFINITY = (1 << 64) - 1
_SECOND = 1_000_000
_KILL = 9


def parse(text: str, name: str) -> tuple[str, str]:
    """(slice, unit) of a cgroupsPath "slice:prefix:name", by default those of a container's id."""
    slice_, prefix, own = "system.slice", "wharfie", name
    if text:
        parts = text.split(":")
        if len(parts) != 3:
            raise InvalidArgument(
                'expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, '
                f'got "{text}" instead'
            )
        slice_, prefix, own = parts[0] or slice_, parts[1], parts[2]
    if not slice_.endswith(".slice") or "/" in slice_ or not own or "/" in prefix + own:
        raise InvalidArgument(f'cgroupsPath "{text}" does not name a slice and a unit of systemd')
    return slice_, own if own.endswith(".slice") else f"{prefix}-{own}.scope" if prefix else f"{own}.scope"


def path_of(slice_: str, unit: str) -> str:
    """Where systemd puts the group: a-b.slice is in a.slice (systemd.slice(5)); raises InvalidArgument."""
    name = slice_.removesuffix(".slice")
    if name == "-":
        return f"/{unit}"
    parts = name.split("-")
    if not all(parts):
        raise InvalidArgument(f'"{slice_}" is not the name of a slice')
    above = ("-".join(parts[: count + 1]) for count in range(len(parts)))
    return "".join(f"/{part}.slice" for part in above) + f"/{unit}"


class Unit:
    """A container's unit."""

    __slots__ = ("_placeholder", "name", "slice")

    def __init__(self, slice_: str, name: str) -> None:
        self.slice = slice_
        self.name = name
        self._placeholder = -1

    def start(self, identifier: str, resources: dict[str, Any]) -> None:
        """Have the scope made, with a placeholder in it; raises CgroupFailure."""
        pid = self._fork_placeholder()
        properties: list[tuple[str, tuple[str, Any]]] = [
            ("Description", ("s", f"wharfie-runtime container {identifier}")),
            ("Slice", ("s", self.slice)),
            ("Delegate", ("b", True)),
            ("DefaultDependencies", ("b", False)),
            ("PIDs", ("au", [pid])),
            *((f"{name}Accounting", ("b", True)) for name in ("Memory", "CPU", "Tasks", _io())),
            *limits(resources),
        ]
        words: tuple[tuple[str, Any], ...] = (
            ("s", self.name),
            ("s", "replace"),
            ("a(sv)", properties),
            ("a(sa(sv))", []),
        )
        try:
            self._job("StartTransientUnit", *words)
        except CgroupFailure:
            self.settle()
            raise

    def _fork_placeholder(self) -> int:
        def wait() -> None:
            prctl(PR_SET_PDEATHSIG, _KILL)
            select.poll().poll()

        pid, self._placeholder = fork_into(wait)
        return pid

    def settle(self) -> None:
        """The container's own process is there: the placeholder ends."""
        if self._placeholder < 0:
            return
        pidfd_send_signal(self._placeholder, _KILL)
        wait_pidfd(self._placeholder)
        os.close(self._placeholder)
        self._placeholder = -1

    def set(self, resources: dict[str, Any]) -> None:
        """Tell systemd of changed limits; raises CgroupFailure."""
        changed = limits(resources)
        if changed:
            bus = _connect()
            try:
                values = (("s", self.name), ("b", True), ("a(sv)", changed))
                bus.call(_DESTINATION, _PATH, _MANAGER, "SetUnitProperties", *values)
            except BusError as error:
                raise CgroupFailure(f"Changing {self.name} failed: {error.strerror}.") from None
            finally:
                bus.close()

    def stop(self) -> None:
        """Have the unit go; one that is gone is fine. Raises CgroupFailure where systemd cannot be asked."""
        self.settle()
        try:
            self._job("StopUnit", ("s", self.name), ("s", "replace"))
        except CgroupFailure as error:
            if "not loaded" not in error.message:
                raise

    def _job(self, method: str, *values: tuple[str, Any]) -> None:
        """Begin a job and wait for its end."""
        bus = _connect()
        try:
            rule = f"type='signal',interface='{_MANAGER}',member='JobRemoved'"
            own = "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus"
            bus.call(*own, "AddMatch", ("s", rule))
            (job,) = bus.call(_DESTINATION, _PATH, _MANAGER, method, *values)
            while True:
                signal = bus.signal()
                # JobRemoved(id, job, unit, result)
                if signal.member == "JobRemoved" and len(signal.body) == 4 and signal.body[1] == job:
                    break
            if signal.body[3] != "done":
                raise CgroupFailure(f"{method} of {self.name} ended as {signal.body[3]!r}.")
        except OSError as error:
            raise CgroupFailure(f"{method} of {self.name} failed: {error.strerror or error}.") from None
        finally:
            bus.close()


def _connect() -> Bus:
    address = variable("DBUS_SYSTEM_BUS_ADDRESS") or ""
    path = address.removeprefix("unix:path=").partition(",")[0] if address.startswith("unix:path=") else _BUS
    try:
        return Bus(path)
    except OSError as error:
        raise CgroupFailure(
            f"systemd cannot be asked over D-Bus at {path}: {error.strerror or error}."
        ) from None


def _io() -> str:
    return "IO" if layout().mode == "v2" else "BlockIO"


def limits(resources: dict[str, Any]) -> list[tuple[str, tuple[str, Any]]]:
    """OCI's limits as properties of a unit (systemd.resource-control(5))."""
    found: list[tuple[str, tuple[str, Any]]] = []
    unified = layout().mode == "v2"
    memory, cpu = resources.get("memory") or {}, resources.get("cpu") or {}
    if memory.get("limit"):
        found.append(("MemoryMax" if unified else "MemoryLimit", ("t", _number(memory["limit"]))))
    if unified and memory.get("reservation"):
        found.append(("MemoryLow", ("t", _number(memory["reservation"]))))
    if cpu.get("shares"):
        shares = cpu["shares"]
        found.append(
            ("CPUWeight", ("t", weight_of_shares(shares))) if unified else ("CPUShares", ("t", shares))
        )
    if cpu.get("quota"):
        period = cpu.get("period") or 100_000
        quota = _INFINITY if cpu["quota"] < 0 else max(1, cpu["quota"] * _SECOND // period)
        found.append(("CPUQuotaPerSecUSec", ("t", quota)))
    limit = (resources.get("pids") or {}).get("limit")
    if limit:
        found.append(("TasksMax", ("t", _number(limit))))
    return found


def _number(value: int) -> int:
    return _INFINITY if value < 0 else value
