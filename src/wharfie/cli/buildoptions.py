"""The options of ``build``: docker's and buildx's, and what becomes of them in the request."""

from __future__ import annotations

import os
from base64 import b64encode
from typing import Any, NamedTuple

from wharfie.cli.epoch import source_date
from wharfie.cli.errors import CommandError
from wharfie.cli.options import Command
from wharfie.client import credentials
from wharfie.client.api import query
from wharfie.support import csvline, json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wharfie.cli.context import Context

BUILD = Command(
    "build [OPTIONS] PATH | URL | -",
    "Build an image from a Dockerfile",
    (
        ("add-host", "", "host", "Add a custom host-to-IP mapping (host:ip)"),
        ("allow", "", "list", "Allow an extra privilege (network.host, security.insecure)"),
        ("build-arg", "", "env", "Set a build-time variable"),
        ("build-context", "", "list", "Further contexts (name=path, URL or docker-image://)"),
        ("cache-from", "", "list", "Caches to use: type=registry,ref=… or local,src=…, or an image"),
        ("cache-to", "", "list", "Where to keep the cache: type=inline, registry,ref=… or local,dest=…"),
        ("cgroup-parent", "", "string", "Parent control group of RUN"),
        ("check", "", "flag", "Only check the Dockerfile"),
        ("compress", "", "flag", ""),
        ("cpu-period", "", "int", "Limit of the CPU's period"),
        ("cpu-quota", "", "int", "Limit of the CPU's quota"),
        ("cpu-shares", "c", "int", "Relative weight of the CPU"),
        ("cpuset-cpus", "", "string", "CPUs to run on (0-3, 0,1)"),
        ("cpuset-mems", "", "string", "Memory nodes to run on (0-3, 0,1)"),
        ("disable-content-trust", "", "flag", ""),
        ("file", "f", "string", "The Dockerfile (default PATH/Dockerfile)"),
        ("force-rm", "", "flag", ""),
        ("isolation", "", "string", ""),
        ("iidfile", "", "string", "Write the image's id to a file"),
        ("label", "", "label", "Set a label of the image"),
        ("load", "", "flag", "Keep the image in the store (as it always is)"),
        ("memory", "m", "bytes", "Limit of the memory"),
        ("memory-swap", "", "swap", "Limit of memory and swap"),
        ("metadata-file", "", "string", "Write what came of the build to a file"),
        ("network", "", "string", "Network of RUN (default, none, host or a name)"),
        ("no-cache", "", "flag", "Do everything anew"),
        ("no-cache-filter", "", "list", "Do these stages anew"),
        ("output", "o", "list", "Where the result goes (type=local|tar|oci|docker|image|registry,dest=path)"),
        ("platform", "", "string", "Platform of the image (os/arch)"),
        ("progress", "", "string", "auto, plain, tty, rawjson or quiet"),
        ("pull", "", "flag", "Fetch base images even if they are here"),
        ("push", "", "flag", "Push the image to its registry"),
        ("quiet", "q", "flag", "Print the image's id only"),
        ("rm", "", "flag", ""),
        ("secret", "", "list", "A secret for the build (id=name[,src=file][,env=variable])"),
        ("security-opt", "", "list", "Security options"),
        ("shm-size", "", "bytes", "Size of /dev/shm"),
        ("squash", "", "flag", "One layer in place of all"),
        ("ssh", "", "list", "An SSH agent for the build (default or name[=socket])"),
        ("tag", "t", "list", "Name of the image (name:tag)"),
        ("target", "", "string", "The stage to build"),
        ("ulimit", "", "ulimit", "Limits of RUN's processes"),
    ),
    needs=1,
    most=1,
    aliases="image build, build, builder build",
)
PROGRESS = ("auto", "plain", "tty", "rawjson", "quiet", "none")


class Given(NamedTuple):
    """What belongs to a request beside the options."""

    names: list[str]
    """That the image gets."""
    dockerfile: str
    remote: str
    contexts: dict[str, str]
    named: list[str]
    """Images with a cache in them."""
    imports: list[dict[str, str]]
    exports: list[dict[str, str]]


def target(context: Context, options: dict[str, Any], sent: Given) -> str:
    """The request's address."""
    get = options.get
    arguments: dict[str, Any] = {**context.user.proxies(context.api.address.text)}
    arguments |= _pairs(get("build-arg") or [], take_environment=True)
    network = get("network")
    return "/build" + query(
        dockerfile=sent.dockerfile,
        remote=sent.remote,
        t=sent.names,
        buildargs=arguments or None,
        labels=_pairs(get("label") or []) or None,
        target=get("target"),
        platform=get("platform"),
        nocache=get("no-cache"),
        nocachefilter=[name for text in get("no-cache-filter") or [] for name in text.split(",")],
        pull=get("pull"),
        squash=get("squash"),
        networkmode=network,
        extrahosts=get("add-host"),
        shmsize=get("shm-size"),
        memory=get("memory"),
        memswap=get("memory-swap"),
        cpushares=get("cpu-shares"),
        cpuperiod=get("cpu-period"),
        cpuquota=get("cpu-quota"),
        cpusetcpus=get("cpuset-cpus"),
        cpusetmems=get("cpuset-mems"),
        cgroupparent=get("cgroup-parent"),
        securityopt=get("security-opt"),
        ulimits=json.dumps(get("ulimit")) if get("ulimit") else None,
        cachefrom=json.dumps(sent.named) if sent.named else None,
        imports=json.dumps(sent.imports) if sent.imports else None,
        exports=json.dumps(sent.exports) if sent.exports else None,
        contexts=sent.contexts or None,
        allow=get("allow"),
        check=get("check"),
        epoch=source_date(),
        events="1",
    )


def _pairs(texts: list[str], *, take_environment: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if equals:
            found[name] = value
        elif not take_environment:
            found[name] = ""
        elif name in os.environ:
            found[name] = os.environ[name]
    return found


def fields(text: str, option: str) -> dict[str, str]:
    """``a=b,c=d``, with quotes as in a CSV file; raises CommandError."""
    found = {}
    try:
        parts = csvline.split(text)
    except ValueError as error:
        raise CommandError(f"invalid value {text} of --{option}: {error}", 125) from None
    for part in parts:
        name, equals, value = part.partition("=")
        if not equals:
            raise CommandError(f'invalid field "{part}" of --{option}: it must be a key=value pair', 125)
        found[name.strip().lower()] = value
    return found


def headers(context: Context, options: dict[str, Any]) -> dict[str, str]:
    """Credentials, and the key under which secrets and agents wait."""
    found = credentials.registry_config(context.user)
    secrets = dict(_secret(text) for text in options.get("secret") or [])
    agents = dict(_agent(text) for text in options.get("ssh") or [])
    if secrets or agents:
        body = {"Secrets": secrets, "Ssh": agents}
        found["X-Wharfie-Build"] = context.api.post("/wharfie/build/inputs", body)["Key"]
    return found


def _secret(text: str) -> tuple[str, str]:
    found = fields(text, "secret")
    unknown = set(found) - {"id", "src", "source", "env", "type"}
    if unknown:
        raise CommandError(f"unexpected key '{sorted(unknown)[0]}' in '{text}'", 125)
    source = found.get("src") or found.get("source") or ""
    name = found.get("id") or os.path.basename(source) or found.get("env", "")
    if not name:
        raise CommandError(f"--secret {text}: an id is missing", 125)
    variable = found.get("env", "")
    kind = found.get("type", "")
    if variable or kind == "env" or (not source and name in os.environ):
        value = os.environ.get(variable or source or name)
        if value is None:
            raise CommandError(f"failed to stat secret {name}: the variable {variable or name} is not set")
        data = value.encode("utf-8", "surrogateescape")
    else:
        path = source or name
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError as error:
            raise CommandError(f"failed to stat {path}: {(error.strerror or '').lower()}") from None
    return name, b64encode(data).decode()


def _agent(text: str) -> tuple[str, str]:
    name, _, path = text.partition("=")
    path = path or os.environ.get("SSH_AUTH_SOCK", "")
    if not path:
        raise CommandError("invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set")
    return name or "default", os.path.abspath(path)
