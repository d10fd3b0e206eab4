"""``context``: daemons that have a name, so that ``-c NAME`` says which one a command is for."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from wharfie.cli.context import Context, say, warn
from wharfie.cli.errors import CommandError
from wharfie.cli.listing import FORMAT, show
from wharfie.cli.options import Command
from wharfie.cli.table import ellipsis, natural
from wharfie.client import contextstore
from wharfie.client.address import Address, default_socket
from wharfie.client.contextstore import FILES, LIMIT, ContextStore, Named
from wharfie.client.endpoint import DEFAULT, chosen
from wharfie.client.errors import BadContext, InvalidHost

_DESCRIPTION = ("description", "", "string", "What the context is for")
_ENDPOINT = (
    "docker",
    "",
    "list",
    "Where the daemon is: host=…[,ca=…,cert=…,key=…,skip-tls-verify=true], or from=CONTEXT",
)
LS = Command(
    "context ls [OPTIONS]",
    "List contexts",
    (FORMAT, ("quiet", "q", "flag", "Print names only")),
    most=0,
    aliases="context ls, context list",
)
CREATE = Command(
    "context create [OPTIONS] CONTEXT",
    "Give a daemon a name",
    (_DESCRIPTION, _ENDPOINT, ("from", "", "string", "Copy the endpoint of this context")),
    needs=1,
    most=1,
)
UPDATE = Command(
    "context update [OPTIONS] CONTEXT", "Change a context", (_DESCRIPTION, _ENDPOINT), needs=1, most=1
)
USE = Command("context use CONTEXT", "Use a context from now on, unless another is named", needs=1, most=1)
SHOW = Command("context show", "Print the name of the current context", most=0)
INSPECT = Command(
    "context inspect [OPTIONS] [CONTEXT] [CONTEXT...]",
    "Show everything about contexts",
    (("format", "f", "string", "Print by a Go template, or 'json'"),),
)
REMOVE = Command(
    "context rm CONTEXT [CONTEXT...]",
    "Forget contexts",
    (("force", "f", "flag", "Forget one that is in use, too"),),
    needs=1,
    aliases="context rm, context remove",
)
_ERROR = 45
_COLUMNS = [
    ("Name", "NAME"),
    ("Description", "DESCRIPTION"),
    ("DockerEndpoint", "DOCKER ENDPOINT"),
    ("Error", "ERROR"),
]


def _override() -> str:
    """The variable of an address that holds whatever context is current; empty if none does."""
    found = chosen(None, None, "")[2]
    return found if found.endswith("_HOST") else ""


def _default() -> Named:
    name = _override()
    host = os.environ[name] if name else f"unix://{default_socket()}"
    return Named(DEFAULT, host, f"Current {name or 'WHARFIE_HOST'} based configuration")


def _find(store: ContextStore, name: str) -> Named:
    return _default() if name == DEFAULT else store.get(name)


def ls(context: Context, arguments: list[str]) -> int:
    """``context ls``: with the current one, even where there is none of its name."""
    options, _ = LS.parse(arguments)
    store = ContextStore(context.config_directory)
    problems = {}
    found = [_find(store, name) for name in [DEFAULT, *store.names()]]
    if context.name not in (one.name for one in found):
        try:
            store.get(context.name)
        except BadContext as error:
            problems[context.name] = str(error)
        found.append(Named(context.name, ""))
    found.sort(key=lambda one: natural(one.name))
    if options.get("quiet"):
        say("\n".join(one.name for one in found))
        return 0
    form = options.get("format")
    plain = not form or form == "table"
    rows = [
        {
            "Current": one.name == context.name,
            "Description": one.description,
            "DockerEndpoint": one.host,
            "Error": ellipsis(problems.get(one.name, ""), _ERROR),
            "Name": f"{one.name} *" if plain and one.name == context.name else one.name,
        }
        for one in found
    ]
    show(rows, _COLUMNS, form)
    if name := _override():
        warn(
            f"Warning: {name} environment variable overrides the active context. To use a context, "
            f"either set the global --context flag, or unset {name} environment variable."
        )
    return 0


def create(context: Context, arguments: list[str]) -> int:
    """``context create``."""
    options, (name,) = CREATE.parse(arguments)
    store = ContextStore(context.config_directory)
    contextstore.validate(name)
    if name in store.names():
        raise CommandError(f'context "{name}" already exists')
    source = options.get("from") or context.name
    given = options.get("docker")
    if given and options.get("from"):
        raise CommandError("cannot use --docker flag when --from is set")
    made = Named(name, "")
    files: dict[str, bytes] = {}
    if given:
        files = _apply(store, made, given)
    else:
        model = _find(store, source)
        made.host, made.description, made.skip_verify = model.host, model.description, model.skip_verify
        files = store.contents(source)
    if options.get("description"):
        made.description = options["description"]
    store.put(made)
    store.keep_files(name, files)
    say(name)
    warn(f'Successfully created context "{name}"')
    return 0


def update(context: Context, arguments: list[str]) -> int:
    """``context update``."""
    options, (name,) = UPDATE.parse(arguments)
    store = ContextStore(context.config_directory)
    contextstore.validate(name)
    changed = store.get(name)
    files = _apply(store, changed, options["docker"]) if options.get("docker") else store.contents(name)
    if options.get("description"):
        changed.description = options["description"]
    store.put(changed)
    store.keep_files(name, files)
    say(name)
    warn(f'Successfully updated context "{name}"')
    return 0


def _apply(store: ContextStore, target: Named, given: list[str]) -> dict[str, bytes]:
    """Set the endpoint, and return the files of its TLS; raises CommandError."""
    problem = "unable to create docker endpoint config"
    settings: dict[str, str] = {}
    for part in ",".join(given).split(","):
        key, equals, value = part.partition("=")
        if not equals:
            raise CommandError(
                f'invalid argument "{part}" for "--docker" flag: {part} must be formatted as key=value'
            )
        if key not in ("host", "skip-tls-verify", "from", *FILES):
            raise CommandError(f"{problem}: unrecognized config key: {key}")
        settings[key] = value
    if "from" in settings:
        model = _find(store, settings["from"])
        target.host, target.skip_verify = model.host, model.skip_verify
        return store.contents(model.name)
    host = settings.get("host", "")
    try:
        Address(host or None)
    except InvalidHost as error:
        raise CommandError(f"{problem}: {error}") from None
    files = {}
    for key, name in FILES.items():
        if key not in settings:
            continue
        try:
            with open(os.path.expanduser(settings[key]), "rb") as file:
                files[name] = file.read(LIMIT)
        except OSError as error:
            raise CommandError(f"{problem}: {settings[key]}: {error.strerror}") from None
        if b"-----BEGIN " not in files[name]:
            raise CommandError(f"{problem}: {name} seems invalid")
    target.host = host or target.host
    target.skip_verify = settings.get("skip-tls-verify", "") == "true"
    return files


def use(context: Context, arguments: list[str]) -> int:
    """``context use``."""
    _, (name,) = USE.parse(arguments)
    ContextStore(context.config_directory).use(name)
    say(name)
    warn(f'Current context is now "{name}"')
    override = chosen(None, None, "")[2]
    if override and name != DEFAULT:
        warn(
            f'Warning: {override} environment variable overrides the active context. To use "{name}", '
            f"either set the global --context flag, or unset {override} environment variable."
        )
    return 0


def show_current(context: Context, arguments: list[str]) -> int:
    """``context show``."""
    SHOW.parse(arguments)
    say(context.name)
    return 0


def inspect(context: Context, arguments: list[str]) -> int:
    """``context inspect``."""
    options, words = INSPECT.parse(arguments)
    store = ContextStore(context.config_directory)
    found, problem = [], ""
    for name in words or [context.name]:
        try:
            found.append(_described(store, _find(store, name)))
        except BadContext as error:
            problem = problem or str(error)
    form = options.get("format")
    if form and form != "json":
        from wharfie.cli.format.template import Template

        template = Template(form)
        sys.stdout.write("".join(template.render(one) + "\n" for one in found))
    elif form:
        sys.stdout.write(json.dumps(found, separators=(",", ":")) + "\n")
    else:
        sys.stdout.write(json.dumps(found, indent=4) + "\n")
    sys.stdout.flush()
    if problem:
        raise CommandError(problem)
    return 0


def _described(store: ContextStore, one: Named) -> dict[str, Any]:
    stored = one.name != DEFAULT
    files = store.files(one.name) if stored else []
    return {
        "Name": one.name,
        "Metadata": {"Description": one.description} if stored and one.description else {},
        "Endpoints": {"docker": {"Host": one.host, "SkipTLSVerify": one.skip_verify}},
        "TLSMaterial": {"docker": files} if files else {},
        "Storage": {
            "MetadataPath": store.meta(one.name) if stored else "<IN MEMORY>",
            "TLSPath": store.tls(one.name) if stored else "<IN MEMORY>",
        },
    }


def remove(context: Context, arguments: list[str]) -> int:
    """``context rm``."""
    options, words = REMOVE.parse(arguments)
    store = ContextStore(context.config_directory)
    problems = []
    for name in words:
        if name == DEFAULT:
            problems.append('default: context "default" cannot be removed')
        elif name not in store.names():
            if not options.get("force"):
                problems.append(f'context "{name}" does not exist')
        elif name == context.name and not options.get("force"):
            problems.append(f'context "{name}" is in use, set -f flag to force remove')
        else:
            store.remove(name)
            if name == store.current():
                store.use(DEFAULT)
            say(name)
    if problems:
        raise CommandError("\n".join(problems))
    return 0
