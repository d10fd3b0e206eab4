"""``inspect``, of containers, images, volumes and networks."""

from __future__ import annotations

import json
import sys
from typing import Any

from wharfie.cli.context import Context, warn
from wharfie.cli.errors import CommandError
from wharfie.cli.options import Command
from wharfie.client.api import query, quote
from wharfie.client.errors import ApiError

_FORM = ("format", "f", "string", "Print by a Go template, or 'json'")
_SIZE = ("size", "s", "flag", "Add the sizes of containers")
INSPECT = Command(
    "inspect [OPTIONS] NAME|ID [NAME|ID...]",
    "Show everything about containers, images, volumes or networks",
    (_FORM, _SIZE, ("type", "", "string", "Look among containers, images, volumes or networks only")),
    needs=1,
)
_PLACES = {
    "container": "/containers/{}/json",
    "image": "/images/{}/json",
    "network": "/networks/{}",
    "volume": "/volumes/{}",
}
_CONFIG = {"ExposedPorts": None, "Healthcheck": None, "StopSignal": "", "StopTimeout": None, "Shell": None}
_STATE = {"Health": None}
_MOUNT = {"Name": "", "Driver": ""}
_KNOWN = ("config", "container", "image", "network", "node", "plugin", "secret", "service", "task", "volume")


def inspect(context: Context, arguments: list[str]) -> int:
    """``inspect``."""
    options, words = INSPECT.parse(arguments)
    kind = options.get("type", "")
    if kind and kind not in _KNOWN:
        known = ", ".join(f'"{name}"' for name in _KNOWN)
        raise CommandError(f'unknown type: "{kind}": must be one of {known}')
    if kind and kind not in _PLACES:
        raise CommandError(f"wharfie has no objects of type {kind}")
    return _show(context, options, words, [kind] if kind else list(_PLACES), typed=bool(kind))


def _only(context: Context, arguments: list[str], kind: str, *more: Any) -> int:
    name = {"container": "container", "image": "image", "network": "network", "volume": "volume"}[kind]
    command = Command(
        f"{name} inspect [OPTIONS] {name.upper()} [{name.upper()}...]",
        f"Show everything about {name}s",
        (_FORM, *more),
        needs=1,
    )
    options, words = command.parse(arguments)
    return _show(context, options, words, [kind], typed=True)


def containers(context: Context, arguments: list[str]) -> int:
    """``container inspect``."""
    return _only(context, arguments, "container", _SIZE)


def images(context: Context, arguments: list[str]) -> int:
    """``image inspect``."""
    only = ("platform", "", "string", "Only if the image is for this platform (os[/arch[/variant]])")
    return _only(context, arguments, "image", only)


def networks(context: Context, arguments: list[str]) -> int:
    """``network inspect``."""
    return _only(context, arguments, "network", ("verbose", "v", "flag", "Add details for finding faults"))


def volumes(context: Context, arguments: list[str]) -> int:
    """``volume inspect``."""
    return _only(context, arguments, "volume")


def _find(context: Context, options: dict[str, Any], name: str, kinds: list[str], *, typed: bool) -> Any:
    for kind in kinds:
        target = _PLACES[kind].format(quote(name, "/:@" if kind == "image" else ""))
        try:
            size = options.get("size", False) and kind == "container"
            return context.api.get(target + query(size=size, platform=options.get("platform")))
        except ApiError as error:
            if typed:
                raise
            if error.status not in (400, 404):
                raise
    raise CommandError(f"Error: No such object: {name}")


def _complete(value: Any) -> Any:
    """The object with the fields that its JSON leaves out when they are empty."""
    from wharfie.cli.format.template import Struct

    if not isinstance(value, dict):
        return value
    filled = dict(value)
    for name, left_out in (("Config", _CONFIG), ("State", _STATE)):
        if isinstance(value.get(name), dict):
            filled[name] = Struct(value[name], left_out)
    if value.get("Mounts"):
        filled["Mounts"] = [Struct(mount, _MOUNT) for mount in value["Mounts"]]
    return filled


def _show(
    context: Context, options: dict[str, Any], names: list[str], kinds: list[str], *, typed: bool
) -> int:
    form = options.get("format")
    template = None
    if form and form != "json":
        from wharfie.cli.format.template import Template

        template = Template(form)
    found, problems = [], []
    for name in names:
        try:
            found.append(_find(context, options, name, kinds, typed=typed))
        except (ApiError, CommandError) as error:
            problems.append(str(error))
    if template is not None:
        for value in found:
            try:
                text = template.render(_complete(value))
            except CommandError:
                sys.stdout.write("\n")
                sys.stdout.flush()
                raise
            sys.stdout.write(text + "\n")
        if not found:
            sys.stdout.write("\n")
    elif form == "json":
        sys.stdout.write(json.dumps(found, ensure_ascii=False, separators=(",", ":")) + "\n")
    else:
        text = json.dumps(found, ensure_ascii=False, indent=4) if found else "[]"
        sys.stdout.write(text + "\n")
    sys.stdout.flush()
    for problem in problems:
        warn(problem)
    return 1 if problems else 0
