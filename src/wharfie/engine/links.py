"""``--link``: Docker's older way to know another container by a name of one's own.

On the default bridge a line in /etc/hosts and variables in the environment, on other networks a name that the
porter answers to this container alone.
"""

from __future__ import annotations

from wharfie.engine.container import Container
from wharfie.engine.context import Context
from wharfie.engine.publishing import number_of
from wharfie.errors import InvalidArgument, NotFound
from wharfie.network.model import Mode, ModeKind


def parse(text: str) -> tuple[str, str]:
    """``container[:alias]``; raises InvalidArgument."""
    name, colon, alias = text.partition(":")
    name, alias = name.lstrip("/"), alias.rpartition("/")[2]
    if not name or (colon and not alias) or ":" in alias:
        raise InvalidArgument(f"bad format for links: {text}")
    return name, alias or name


def check(context: Context, texts: list[str], network_mode: str) -> None:
    """Whether they can be; raises InvalidArgument, NotFound."""
    mode = Mode.parse(network_mode)
    for text in texts:
        if mode.kind is ModeKind.HOST:
            raise _conflict("host type networking")
        if mode.kind is ModeKind.CONTAINER:
            raise _conflict("container type network")
        name, _alias = parse(text)
        try:
            other = context.registry.get(name)
        except NotFound:
            raise InvalidArgument(f"could not get container for {name}: No such container: {name}") from None
        if other.host_config.network_mode == "host":
            raise _conflict("host type networking")


def _conflict(what: str) -> InvalidArgument:
    return InvalidArgument(
        f"conflicting options: {what} can't be used with links. This would result in undefined behavior"
    )


def _of(context: Context, container: Container) -> list[tuple[Container, str]]:
    texts = list(container.host_config.links or ())
    for asked in container.record.networks.values():
        texts += asked.links or ()
    found = []
    for text in texts:
        name, alias = parse(text)
        try:
            found.append((context.registry.get(name), alias))
        except NotFound:
            continue
    return found


def aliases(context: Context, container: Container) -> dict[str, str]:
    """Its own names for others, as the porter has them."""
    return {alias.lower(): other.id for other, alias in _of(context, container)}


def hosts(context: Context, container: Container) -> list[tuple[str, str]]:
    """The lines of /etc/hosts; raises InvalidArgument when one of them does not run."""
    lines = []
    for other, alias in _on_bridge(context, container):
        if not other.status.running:
            raise InvalidArgument(
                f"Cannot link to a non running container: /{other.name} AS /{container.name}/{alias}"
            )
        address = _address(context, other)
        if address:
            names = dict.fromkeys((alias, other.config.hostname, other.name))
            lines.append((address, " ".join(names)))
    return lines


def environment(context: Context, container: Container) -> list[str]:
    """The variables that Docker sets for the links of the default bridge."""
    found = []
    for other, alias in _on_bridge(context, container):
        prefix = alias.upper().replace("-", "_")
        address = _address(context, other)
        found.append(f"{prefix}_NAME=/{container.name}/{alias}")
        exposed = sorted(filter(None, map(number_of, other.config.exposed_ports or ())))
        for place, (number, protocol) in enumerate(exposed):
            url = f"{protocol}://{address}:{number}"
            if place == 0:
                found.append(f"{prefix}_PORT={url}")
            base = f"{prefix}_PORT_{number}_{protocol.upper()}"
            found += [
                f"{base}={url}",
                f"{base}_ADDR={address}",
                f"{base}_PORT={number}",
                f"{base}_PROTO={protocol}",
            ]
        for variable in other.config.env or ():
            name, _, value = variable.partition("=")
            if name not in ("PATH", "HOME"):
                found.append(f"{prefix}_ENV_{name}={value}")
    return found


def _on_bridge(context: Context, container: Container) -> list[tuple[Container, str]]:
    if Mode.parse(container.host_config.network_mode).kind is not ModeKind.BRIDGE:
        return []
    return _of(context, container)


def _address(context: Context, other: Container) -> str:
    return next((s.address for s in context.networks.endpoints(other.id) if s.network == "bridge"), "")
