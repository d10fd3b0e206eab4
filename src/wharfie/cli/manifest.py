"""``manifest inspect``, ``create``, ``annotate``, ``push``, ``rm`` and ``referrers``.

A list is made locally, as files in Docker's layout below the settings' ``manifests`` directory (see
``manifestfiles``), annotated there, and pushed as one document.
"""

from __future__ import annotations

import base64
import json
import sys
from typing import Any

from wharfie.cli.context import Context, warn
from wharfie.cli.errors import CommandError
from wharfie.cli.listing import FORMAT, show
from wharfie.cli.manifestfiles import DOCKER_LIST, Lists, full, index_of, with_details
from wharfie.cli.options import Command
from wharfie.client import credentials
from wharfie.client.api import query
from wharfie.client.errors import ApiError
from wharfie.support.units import format_size

_INSECURE = ("insecure", "", "flag", "Allow a registry without TLS, or with a certificate nobody checks")
INSPECT = Command(
    "manifest inspect [OPTIONS] [MANIFEST_LIST] MANIFEST",
    "Show an image manifest, or a list of manifests",
    (_INSECURE, ("verbose", "v", "flag", "Show layers and platform, too")),
    needs=1,
    most=2,
)
CREATE = Command(
    "manifest create MANIFEST_LIST MANIFEST [MANIFEST...]",
    "Make a local list of manifests to be annotated and pushed",
    (("amend", "a", "flag", "Change a list that exists"), _INSECURE),
    needs=2,
)
ANNOTATE = Command(
    "manifest annotate [OPTIONS] MANIFEST_LIST MANIFEST",
    "Say what a manifest of a local list is for",
    (
        ("arch", "", "string", "Architecture"),
        ("os", "", "string", "Operating system"),
        ("os-features", "", "list", "Feature of the operating system"),
        ("os-version", "", "string", "Version of the operating system"),
        ("variant", "", "string", "Variant of the architecture"),
    ),
    needs=2,
    most=2,
)
PUSH = Command(
    "manifest push [OPTIONS] MANIFEST_LIST",
    "Upload a list of manifests to its repository",
    (_INSECURE, ("purge", "p", "flag", "Delete the local list afterwards")),
    needs=1,
    most=1,
)
REMOVE = Command("manifest rm MANIFEST_LIST [MANIFEST_LIST...]", "Delete local lists of manifests", needs=1)
REFERRERS = Command(
    "manifest referrers [OPTIONS] NAME[:TAG|@DIGEST]",
    "List the artifacts (signatures, bills of materials …) that refer to an image in its registry",
    (("artifact-type", "", "string", "Only those of this type"), FORMAT),
    needs=1,
    most=1,
)
_COLUMNS = [("Digest", "DIGEST"), ("ArtifactType", "ARTIFACT TYPE"), ("Size", "SIZE")]
Item = dict[str, Any]
_PLATFORMS = {
    "darwin": ("386", "amd64", "arm", "arm64"),
    "dragonfly": ("amd64",),
    "freebsd": ("386", "amd64", "arm"),
    "linux": ("386", "amd64", "arm", "arm64", "mips64", "mips64le", "ppc64le", "riscv64", "s390x"),
    "netbsd": ("386", "amd64", "arm"),
    "openbsd": ("386", "amd64", "arm"),
    "plan9": ("386", "amd64"),
    "solaris": ("amd64",),
    "windows": ("386", "amd64"),
}
"""What Docker takes in a list, by operating system."""


def inspect(context: Context, arguments: list[str]) -> int:
    """``manifest inspect``."""
    options, words = INSPECT.parse(arguments)
    verbose, insecure = options.get("verbose", False), options.get("insecure", False)
    lists = Lists(context.config_directory)
    if len(words) == 2:
        item = lists.load(words[0], words[1])
        if item is None:
            raise CommandError(f"No such manifest: {full(words[1])}")
        _print(item if verbose else _raw(item), 4)
        return 0
    local = lists.load_all(words[0])
    if local:
        _print(local if verbose else index_of(local), 3)
        return 0
    found = fetch(context, words[0], children=verbose, insecure=insecure)
    if not verbose:
        document = _raw(found["Manifest"])
        _print(document, 3 if "manifests" in document else "\t")
        return 0
    children = [with_details(child) for child in found["Children"]]
    _print(children or with_details(found["Manifest"]), "\t")
    return 0


def _raw(item: Item) -> Item:
    document: Item = json.loads(base64.b64decode(item["Raw"]))
    return document


def _print(value: Any, indent: int | str) -> None:
    sys.stdout.write(json.dumps(value, indent=indent, ensure_ascii=False) + "\n")


def fetch(context: Context, name: str, *, children: bool, insecure: bool) -> Item:
    """A manifest from its registry; raises CommandError."""
    target = "/wharfie/manifests" + query(name=name, children=children, insecure=insecure)
    try:
        found: Item = context.api.call("GET", target, headers=credentials.header(context.user, name))
    except ApiError as error:
        if error.status == 404:
            raise CommandError(f"no such manifest: {full(name)}") from None
        raise
    return found


def create(context: Context, arguments: list[str]) -> int:
    """``manifest create``."""
    options, words = CREATE.parse(arguments)
    name, *members = words
    lists = Lists(context.config_directory)
    if lists.exists(name) and not options.get("amend"):
        raise CommandError(f"refusing to amend an existing manifest list with no --amend flag: {full(name)}")
    items = []
    for member in members:
        item = lists.load(name, member)
        if item is None:
            found = fetch(context, member, children=True, insecure=options.get("insecure", False))
            if found["Children"] or found["Manifest"]["Descriptor"]["mediaType"] == DOCKER_LIST:
                raise CommandError(f"{full(member)} is a manifest list")
            item = with_details(found["Manifest"])
        items.append((member, item))
    for member, item in items:
        lists.save(name, member, item)
    sys.stdout.write(f"Created manifest list {full(name)}\n")
    return 0


def annotate(context: Context, arguments: list[str]) -> int:
    """``manifest annotate``."""
    options, (name, member) = ANNOTATE.parse(arguments)
    lists = Lists(context.config_directory)
    item = lists.load(name, member)
    if item is None:
        raise CommandError(f"manifest for image {member} does not exist in {name}")
    platform = item["Descriptor"].setdefault("platform", {"architecture": "", "os": ""})
    for option, field in (("os", "os"), ("arch", "architecture"), ("variant", "variant")):
        if options.get(option):
            platform[field] = options[option]
    if options.get("os-version"):
        platform["os.version"] = options["os-version"]
    if options.get("os-features"):
        known = platform.setdefault("os.features", [])
        known += [one for text in options["os-features"] for one in text.split(",") if one not in known]
    if platform.get("architecture") not in _PLATFORMS.get(platform.get("os"), ()):
        raise CommandError(
            f"manifest entry for image has unsupported os/arch combination: "
            f"{platform.get('os')}/{platform.get('architecture')}"
        )
    lists.save(name, member, item)
    return 0


def push(context: Context, arguments: list[str]) -> int:
    """``manifest push``."""
    options, (name,) = PUSH.parse(arguments)
    lists = Lists(context.config_directory)
    items = lists.load_all(name)
    if not items:
        raise CommandError(f"{full(name)} not found")
    document = json.dumps(index_of(items), indent=3).encode()
    body = {
        "Raw": base64.b64encode(document).decode(),
        "Sources": [_by_digest(item) for item in items],
    }
    target = "/wharfie/manifests" + query(name=name, insecure=options.get("insecure", False))
    answer = context.api.post(target, body, headers=credentials.header(context.user, name))
    sys.stdout.write(f"{answer['Digest']}\n")
    if options.get("purge"):
        lists.remove(name)
    return 0


def _by_digest(item: Item) -> str:
    name = item["Ref"].partition("@")[0]
    colon = name.rfind(":")
    return f"{name[:colon] if colon > name.rfind('/') else name}@{item['Descriptor']['digest']}"


def remove(context: Context, arguments: list[str]) -> int:
    """``manifest rm``."""
    _, words = REMOVE.parse(arguments)
    lists = Lists(context.config_directory)
    code = 0
    for name in words:
        if not lists.remove(name):
            warn(f"No such manifest: {full(name)}")
            code = 1
    return code


def referrers(context: Context, arguments: list[str]) -> int:
    """``manifest referrers``."""
    options, (name,) = REFERRERS.parse(arguments)
    target = "/wharfie/referrers" + query(name=name, artifactType=options.get("artifact-type"))
    found = context.api.call("GET", target, headers=credentials.header(context.user, name))
    rows = [
        {
            "Annotations": one.get("annotations") or {},
            "ArtifactType": one.get("artifactType") or one["mediaType"],
            "Digest": one["digest"],
            "MediaType": one["mediaType"],
            "Size": format_size(one["size"]),
        }
        for one in found["Manifests"]
    ]
    show(rows, _COLUMNS, options.get("format"))
    return 0
