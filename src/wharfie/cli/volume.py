"""``volume ls``, ``create``, ``rm``, ``update``, ``export`` and ``import``."""

from __future__ import annotations

import sys

from wharfie.cli.context import Context, say
from wharfie.cli.create_parts import pairs
from wharfie.cli.errors import CommandError
from wharfie.cli.lifecycle import each
from wharfie.cli.listing import FORMAT, filters, show
from wharfie.cli.options import Command
from wharfie.cli.table import natural
from wharfie.client.api import query, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Volumes of a cluster: there is no swarm here, as the engine then says. Not listed in the help.
_CLUSTER = (
    *(("availability", "string"), ("group", "string"), ("limit-bytes", "bytes"), ("required-bytes", "bytes")),
    *(("scope", "string"), ("secret", "map"), ("sharing", "string"), ("topology-preferred", "list")),
    *(("topology-required", "list"), ("type", "string")),
)
LS = Command(
    "volume ls [OPTIONS]",
    "List volumes",
    (
        ("cluster", "", "flag", ""),
        ("filter", "f", "filter", "Only those that match: dangling, driver, label, name"),
        FORMAT,
        ("quiet", "q", "flag", "Print names only"),
    ),
    most=0,
    aliases="volume ls, volume list",
)
CREATE = Command(
    "volume create [OPTIONS] [VOLUME]",
    "Make a volume",
    (
        *((name, "", kind, "") for name, kind in _CLUSTER),
        ("driver", "d", "string", 'Driver (default "local")'),
        ("label", "", "label", "Attach a label (name=value)"),
        ("opt", "o", "map", "Option of the driver"),
    ),
    most=1,
)
REMOVE = Command(
    "volume rm [OPTIONS] VOLUME [VOLUME...]",
    "Remove volumes; one that a container uses is kept",
    (("force", "f", "flag", "It is no error when a volume does not exist"),),
    needs=1,
    aliases="volume rm, volume remove",
)
UPDATE = Command(
    "volume update [OPTIONS] VOLUME",
    "Change a volume; as with Docker, only volumes of a cluster can be changed",
    (("availability", "", "string", "Availability of a cluster volume (active, pause or drain)"),),
    needs=1,
    most=1,
)
EXPORT = Command(
    "volume export [OPTIONS] VOLUME",
    "Write what is in a volume as a tar archive",
    (("output", "o", "string", "Write to a file instead of standard output"),),
    needs=1,
    most=1,
)
IMPORT = Command(
    "volume import VOLUME [FILE|-]",
    "Unpack a tar archive, compressed or not, into a volume, which is made if it does not exist",
    (),
    needs=1,
    most=2,
)
_CLUSTER_COLUMNS = [
    ("Name", "VOLUME NAME"),
    ("Group", "GROUP"),
    ("Driver", "DRIVER"),
    ("Availability", "AVAILABILITY"),
    ("Status", "STATUS"),
]
_COLUMNS = [("Driver", "DRIVER"), ("Name", "VOLUME NAME")]


def ls(context: Context, arguments: list[str]) -> int:
    """``volume ls``."""
    options, _ = LS.parse(arguments)
    found = context.api.get("/volumes" + query(filters=filters(options.get("filter"))))["Volumes"] or []
    found.sort(key=lambda one: natural(one["Name"]))
    if options.get("cluster"):
        # there are none: no volume of this engine is a cluster's
        found, columns = [one for one in found if one.get("ClusterVolume")], _CLUSTER_COLUMNS
    else:
        columns = _COLUMNS
    if options.get("quiet"):
        sys.stdout.write("".join(f"{one['Name']}\n" for one in found))
        return 0
    rows = [row(one) for one in found]
    show(rows, columns, options.get("format") or context.settings.get("volumesFormat"))
    return 0


def row(one: dict[str, Any]) -> dict[str, Any]:
    """A volume's fields as templates name them."""
    labels = one.get("Labels") or {}
    return {
        "Availability": "N/A",  # as Group and Status: of cluster volumes only
        "Driver": one.get("Driver", "local"),
        "Group": "N/A",
        "Label": lambda name: labels.get(name, ""),
        "Labels": ",".join(f"{name}={value}" for name, value in sorted(labels.items())),
        "Links": "N/A",
        "Mountpoint": one.get("Mountpoint", ""),
        "Name": one["Name"],
        "Scope": one.get("Scope", "local"),
        "Size": "N/A",
        "Status": "N/A",
    }


def create(context: Context, arguments: list[str]) -> int:
    """``volume create``."""
    options, words = CREATE.parse(arguments)
    body = {
        "Name": words[0] if words else "",
        "Driver": options.get("driver", "local"),
        "DriverOpts": pairs(options.get("opt", [])),
        "Labels": pairs(options.get("label", [])),
    }
    given = {name: options[name] for name, _ in _CLUSTER if name in options}
    if given:
        body["ClusterVolumeSpec"] = _cluster(given)
    say(context.api.post("/volumes/create", body)["Name"])
    return 0


def _cluster(given: dict[str, Any]) -> dict[str, Any]:
    topologies = {
        key: [{"Segments": pairs(text.split(","))} for text in given.get(name, [])]
        for name, key in (("topology-required", "Requisite"), ("topology-preferred", "Preferred"))
    }
    secrets = [{"Key": key, "Secret": name} for key, name in pairs(given.get("secret", [])).items()]
    capacity = {"RequiredBytes": given.get("required-bytes", 0), "LimitBytes": given.get("limit-bytes", 0)}
    mode = {"Scope": given.get("scope", "single"), "Sharing": given.get("sharing", "none"),
            "AccessibilityRequirements": topologies, "CapacityRange": capacity,
            "Secrets": secrets}  # fmt: skip
    mode["BlockVolume" if given.get("type", "block") == "block" else "MountVolume"] = {}
    return {
        "Group": given.get("group", ""),
        "AccessMode": mode,
        "Availability": given.get("availability", "active"),
    }


def remove(context: Context, arguments: list[str]) -> int:
    """``volume rm``."""
    options, words = REMOVE.parse(arguments)
    asked = query(force=options.get("force"))

    def action(word: str) -> str:
        context.api.call("DELETE", f"/volumes/{quote(word)}{asked}")
        return word

    return each(words, action)


def update(context: Context, arguments: list[str]) -> int:
    """``volume update``."""
    options, (name,) = UPDATE.parse(arguments)
    cluster = context.api.get(f"/volumes/{quote(name)}").get("ClusterVolume")
    if not cluster:
        raise CommandError("can only update cluster volumes")
    spec = {**cluster.get("Spec", {}), "Availability": options.get("availability", "active")}
    version = query(version=cluster["Version"]["Index"])
    context.api.call("PUT", f"/volumes/{quote(name)}{version}", {"Spec": spec})
    return 0


def export(context: Context, arguments: list[str]) -> int:
    """``volume export``."""
    from wharfie.cli.export import fetch

    options, (name,) = EXPORT.parse(arguments)
    fetch(context, f"/volumes/{quote(name)}/archive", options.get("output"), "volume")
    return 0


def import_volume(context: Context, arguments: list[str]) -> int:
    """``volume import``."""
    from wharfie.cli.pull import open_source, read_parts

    _, words = IMPORT.parse(arguments)
    name = words[0]
    source = open_source(words[1] if len(words) > 1 else "-")
    context.api.post("/volumes/create", {"Name": name})
    context.api.upload("PUT", f"/volumes/{quote(name)}/archive", read_parts(source)).read()
    say(name)
    return 0
