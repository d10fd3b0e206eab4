"""Older versions of the API: the answers they had, and what their requests meant.

The engine knows the latest version only. An answer for an older client is taken back step by step, from the
newest change to the oldest that the client does not know: each row of a table says until which version
something was so. Requests go the other way: what a field meant, or that it was not there yet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from wharfie.api.call import Call, Version
from wharfie.wire.base import Wire

Document = dict[str, Any]
Change = Callable[[Document], None]
Rows = Sequence[tuple[Version, Change]]
"""A version, and what an answer to a client older than it must be changed by; the newest first."""

_EMPTY_CONFIG = {
    "Hostname": "", "Domainname": "", "AttachStdin": False, "AttachStdout": False, "AttachStderr": False,
    "Tty": False, "OpenStdin": False, "StdinOnce": False, "Image": "", "User": "", "Env": None, "Cmd": None,
    "Volumes": None, "WorkingDir": "", "Entrypoint": None, "OnBuild": None, "Labels": None,
}  # fmt: skip


def older(call: Call, value: Any, rows: Rows) -> Any:
    """``value`` as a client of this version knows it; itself where nothing has changed since."""
    changes = [change for version, change in rows if call.version < version]
    if not changes:
        return value
    documents = msgspec.to_builtins(value)
    for document in documents if isinstance(documents, list) else [documents]:
        for change in changes:
            change(document)
    return documents


def without(*names: str) -> Change:
    """Takes fields away."""

    def change(document: Document) -> None:
        for name in names:
            document.pop(name, None)

    return change


def with_values(values: Mapping[str, Any]) -> Change:
    """Puts fields in that were there."""

    def change(document: Document) -> None:
        document.update(values)

    return change


def ignored(body: Any, *names: str) -> Any:
    """A request's body without what its version did not have: these fields get their defaults."""
    if not isinstance(body, Wire):
        return body
    fields = {field.name: field for field in msgspec.structs.fields(body)}
    defaults = {}
    for name in names:
        field = fields[name]
        factory = field.default_factory
        defaults[name] = field.default if factory is msgspec.NODEFAULT else factory()
    return msgspec.structs.replace(body, **defaults)


def _virtual_size(image: Document) -> None:
    image["VirtualSize"] = image["Size"]


def _uncounted(image: Document) -> None:
    image["Containers"] = -1


def _nameless(image: Document) -> None:
    if not image["RepoTags"] and not image["RepoDigests"]:
        image["RepoTags"], image["RepoDigests"] = ["<none>:<none>"], ["<none>@<none>"]


def _whole_config(image: Document) -> None:
    image["Config"] = _EMPTY_CONFIG | (image.get("Config") or {})


def _own_aliases(container: Document) -> None:
    """On networks of one's own a container's short id and host name were aliases."""
    for name, endpoint in container["NetworkSettings"]["Networks"].items():
        if name not in ("bridge", "host", "none", "default"):
            aliases = [*(endpoint["Aliases"] or ()), container["Id"][:12], container["Config"]["Hostname"]]
            endpoint["Aliases"] = list(dict.fromkeys(alias for alias in aliases if alias))


def _no_priorities(container: Document) -> None:
    for endpoint in container["NetworkSettings"]["Networks"].values():
        endpoint.pop("GwPriority", None)


def _no_priorities_used(usage: Document) -> None:
    for container in usage["Containers"] or ():
        _no_priorities(container)


def _no_annotations(container: Document) -> None:
    container["HostConfig"].pop("Annotations", None)


def _expected_commits(info: Document) -> None:
    for part in ("ContainerdCommit", "RuncCommit", "InitCommit"):
        info[part]["Expected"] = info[part]["ID"]


def _nondistributable(info: Document) -> None:
    info["RegistryConfig"] |= dict.fromkeys(
        ("AllowNondistributableArtifactsCIDRs", "AllowNondistributableArtifactsHostnames")
    )


def _no_runtime_status(info: Document) -> None:
    for runtime in info["Runtimes"].values():
        runtime.pop("status", None)


def _names_of_security(info: Document) -> None:
    options = [dict(pair.partition("=")[::2] for pair in text.split(",")) for text in info["SecurityOptions"]]
    info["SecurityOptions"] = [option.get("name", "") for option in options]


def _virtual_sizes(usage: Document) -> None:
    for image in usage["Images"] or ():
        _virtual_size(image)


def _builder_size(usage: Document) -> None:
    size = sum(record["Size"] for record in usage["BuildCache"])
    if size:
        usage["BuilderSize"] = size
    for record in usage["BuildCache"]:
        record.setdefault("Parent", "")


IMAGE_LIST: Rows = (((1, 51), _uncounted), ((1, 44), _virtual_size), ((1, 43), _nameless))
IMAGE: Rows = (
    ((1, 50), _whole_config),
    ((1, 45), with_values({"ContainerConfig": _EMPTY_CONFIG})),
    ((1, 44), _virtual_size),
)
CONTAINER_LIST: Rows = (((1, 48), _no_priorities), ((1, 46), _no_annotations))
CONTAINER: Rows = (((1, 48), _no_priorities), ((1, 45), _own_aliases))
NETWORK: Rows = (((1, 48), without("EnableIPv4")),)
INFO: Rows = (
    ((1, 50), with_values({"BridgeNfIptables": False, "BridgeNfIp6tables": False})),
    ((1, 49), without("FirewallBackend")),
    ((1, 49), _expected_commits),
    ((1, 47), _nondistributable),
    ((1, 44), _no_runtime_status),
    ((1, 42), with_values({"KernelMemory": False, "KernelMemoryTCP": False})),
    ((1, 25), with_values({"ExecutionDriver": "<not supported>"})),
    ((1, 25), _names_of_security),
)
USAGE: Rows = (((1, 48), _no_priorities_used), ((1, 44), _virtual_sizes), ((1, 42), _builder_size))
