"""The command line's front door: global options, then one function of one module for the command.

Everything imported here is paid for by every command, so commands are named in a table and loaded by need,
and ``posix`` stands for ``os`` on the way of the quick ones (see ``support/environment.py``).
The process ends by ``_exit`` after its output is written: tearing down the interpreter costs 2 ms.
"""

from __future__ import annotations

import gc
import posix
import sys

from wharfie.cli.errors import PROGRAM, CommandError, NeedsHelp, UsageError
from wharfie.cli.options import Command
from wharfie.errors import WharfieError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from typing import Any

    from wharfie.cli.context import Context
else:
    import _signal

GLOBAL = Command(
    "[OPTIONS] COMMAND [ARG...]",
    "A container engine in Python",
    (
        ("config", "", "string", "Directory of the client's settings (default ~/.docker)"),
        ("context", "c", "string", "Context to use, whatever the environment and 'context use' say"),
        ("debug", "D", "flag", "Show where an unexpected failure happened"),
        ("host", "H", "string", "Where the daemon is (unix:///path, tcp://host:port or ssh://user@host)"),
        ("log-level", "l", "string", ""),
        ("tls", "", "flag", "Use TLS; implied by --tlsverify"),
        ("tlscacert", "", "string", "Certificates that the daemon's is signed with (default ca.pem)"),
        ("tlscert", "", "string", "The client's certificate (default cert.pem)"),
        ("tlskey", "", "string", "The client's key (default key.pem)"),
        ("tlsverify", "", "flag", "Use TLS and verify the daemon's certificate"),
        ("version", "v", "flag", "Print the version"),
    ),
    mixes=False,
)

# command: module and function
COMMANDS = {
    "run": ("run", "run"),
    "create": ("run", "create"),
    "exec": ("exec", "run"),
    "start": ("start", "start"),
    "attach": ("start", "attach"),
    "stop": ("lifecycle", "stop"),
    "restart": ("lifecycle", "restart"),
    "kill": ("lifecycle", "kill"),
    "pause": ("lifecycle", "pause"),
    "unpause": ("lifecycle", "unpause"),
    "wait": ("lifecycle", "wait"),
    "rm": ("lifecycle", "remove"),
    "rename": ("change", "rename"),
    "update": ("change", "update"),
    "ps": ("ps", "ps"),
    "logs": ("logs", "logs"),
    "top": ("look", "top"),
    "diff": ("look", "diff"),
    "port": ("look", "port"),
    "stats": ("stats", "stats"),
    "inspect": ("inspect", "inspect"),
    "commit": ("change", "commit"),
    "cp": ("cp", "cp"),
    "export": ("export", "export"),
    "images": ("images", "images"),
    "rmi": ("images", "remove"),
    "tag": ("images", "tag"),
    "history": ("images", "history"),
    "save": ("archives", "save"),
    "load": ("archives", "load"),
    "build": ("build", "build"),
    "pull": ("pull", "pull"),
    "push": ("push", "push"),
    "search": ("push", "search"),
    "login": ("login", "login"),
    "logout": ("login", "logout"),
    "import": ("pull", "import_image"),
    "version": ("system", "version"),
    "info": ("system", "info"),
    "events": ("events", "events"),
    "daemon": ("daemon", "daemon"),
    "completion": ("completion", "completion"),
    "__complete": ("completion", "complete"),
}
# group: command in it -> module and function, or the plain command it is another name of
GROUPS: dict[str, dict[str, str | tuple[str, str]]] = {
    "container": {
        **{
            name: name
            for name in (
                *(
                    "attach",
                    "commit",
                    "cp",
                    "create",
                    "diff",
                    "exec",
                    "export",
                    "kill",
                    "logs",
                    "pause",
                    "port",
                ),
                *("rename", "restart", "rm", "run", "start", "stats", "stop", "top", "unpause", "update"),
                *("wait", "ps"),
            )
        },
        "ls": "ps",
        "list": "ps",
        "remove": "rm",
        "inspect": ("inspect", "containers"),
        "prune": ("prune", "containers"),
    },
    "checkpoint": {
        "create": ("checkpoint", "create"),
        "ls": ("checkpoint", "listed"),
        "list": ("checkpoint", "listed"),
        "rm": ("checkpoint", "remove"),
        "remove": ("checkpoint", "remove"),
    },
    "builder": {
        "build": "build",
        "prune": ("builder", "prune"),
        "du": ("builder", "usage"),
        "export": ("builder", "export"),
        "import": ("builder", "import_mount"),
    },
    "image": {
        "build": "build",
        "ls": "images",
        "list": "images",
        "rm": "rmi",
        "remove": "rmi",
        "tag": "tag",
        "history": "history",
        "pull": "pull",
        "push": "push",
        "import": "import",
        "save": "save",
        "load": "load",
        "squash": ("store", "squash"),
        "inspect": ("inspect", "images"),
        "prune": ("prune", "images"),
        "bootstrap": ("pull", "bootstrap"),
    },
    "manifest": {
        "inspect": ("manifest", "inspect"),
        "create": ("manifest", "create"),
        "annotate": ("manifest", "annotate"),
        "push": ("manifest", "push"),
        "rm": ("manifest", "remove"),
        "referrers": ("manifest", "referrers"),
    },
    "system": {
        "info": "info",
        "events": "events",
        "df": ("df", "df"),
        "check": ("store", "check"),
        "prune": ("prune", "system"),
        "stop": ("daemon", "stop_daemon"),
        "dial-stdio": ("dial", "dial_stdio"),
    },
    "volume": {
        "ls": ("volume", "ls"),
        "list": ("volume", "ls"),
        "create": ("volume", "create"),
        "inspect": ("inspect", "volumes"),
        "rm": ("volume", "remove"),
        "remove": ("volume", "remove"),
        "prune": ("prune", "volumes"),
        "update": ("volume", "update"),
        "export": ("volume", "export"),
        "import": ("volume", "import_volume"),
    },
    "network": {
        "ls": ("network", "ls"),
        "list": ("network", "ls"),
        "inspect": ("inspect", "networks"),
        "create": ("network", "create"),
        "rm": ("network", "remove"),
        "remove": ("network", "remove"),
        "connect": ("network", "connect"),
        "disconnect": ("network", "disconnect"),
        "prune": ("prune", "networks"),
    },
    "context": {
        "ls": ("named", "ls"),
        "list": ("named", "ls"),
        "create": ("named", "create"),
        "update": ("named", "update"),
        "use": ("named", "use"),
        "show": ("named", "show_current"),
        "inspect": ("named", "inspect"),
        "rm": ("named", "remove"),
        "remove": ("named", "remove"),
        "export": ("contextfiles", "export"),
        "import": ("contextfiles", "import_context"),
    },
}
_LEVELS = ("panic", "fatal", "error", "warn", "warning", "info", "debug", "trace")
_WITHOUT_DAEMON = ("daemon", "version", "complete")


def find(words: list[str]) -> tuple[str, str, list[str]]:
    """Module and function of the command that ``words`` begin with, and its arguments."""
    name = words[0]
    place = COMMANDS.get(name)
    if place is not None:
        return (*place, words[1:])
    group = GROUPS.get(name)
    if group is None:
        from wharfie.cli.help import unknown_command

        raise unknown_command(name)
    if len(words) < 2 or words[1] in ("--help", "-h"):
        from wharfie.cli.help import group_help

        group_help(name, asked=len(words) > 1)
        raise CommandError("", 0)
    found = group.get(words[1])
    if found is None:
        from wharfie.cli.help import unknown_command

        raise unknown_command(words[1], name)
    return (*(COMMANDS[found] if isinstance(found, str) else found), words[2:])


def _context(options: dict[str, Any], module: str, function: str) -> Context:
    from wharfie.cli.context import Context
    from wharfie.client.address import Address
    from wharfie.client.endpoint import chosen, located, settings_directory

    host, name = options.get("host"), options.get("context")
    if host and name:
        raise CommandError("conflicting options: cannot specify both --host and --context")
    directory = options.get("config") or settings_directory()
    host, name, said_by = chosen(host, name, directory)
    of_contexts = module in ("named", "contextfiles")
    address = Address(host) if of_contexts else located(host, name, directory, options)
    address.said_by = said_by
    return Context(
        address,
        directory,
        bool(options.get("debug")),
        name=name,
        may_start=function not in _WITHOUT_DAEMON and function != "stop_daemon",
    )


def run(arguments: list[str]) -> int:
    """One command line; its exit code."""
    options, words = GLOBAL.parse(arguments)
    if options.get("log-level", "info").lower() not in _LEVELS:
        raise CommandError(f"Unable to parse logging level: {options['log-level']}")
    if options.get("version"):
        from wharfie import __version__

        sys.stdout.write(f"{PROGRAM} version {__version__}\n")
        return 0
    if not words or words == ["help"]:
        from wharfie.cli.help import main_help

        main_help()
        return 0
    if words[0] == "help":
        words = [*words[1:], "--help"]
    module, function, rest = find(words)
    context = _context(options, module, function)
    command = getattr(_load(module), function)
    gc.freeze()
    gc.enable()
    try:
        code: int = command(context, rest)
    except (UsageError, NeedsHelp) as error:
        error.call(" ".join(words[: len(words) - len(rest)]))
        raise
    return code


def _load(module: str) -> Any:
    name = f"wharfie.cli.{module}"
    __import__(name)
    return sys.modules[name]


def guarded(arguments: list[str]) -> int:
    """:func:`run` with every failure as a sentence and an exit code."""
    try:
        return run(arguments)
    except NeedsHelp as asked:
        from wharfie.cli.help import command_help, main_help

        if asked.command is GLOBAL:
            main_help()
        else:
            command_help(asked.command, asked.called)
        return 0
    except CommandError as error:
        if error.message:
            _complain(error.message)
        return error.code
    except WharfieError as error:
        _complain(str(error))
        return 1
    except BrokenPipeError:
        return 141
    except KeyboardInterrupt:
        return 130


def _complain(text: str) -> None:
    sys.stdout.flush()
    posix.write(2, text.encode("utf-8", "surrogateescape") + b"\n")


def main(argv: list[str] | None = None) -> None:
    """Run the command line of this process and end it."""
    # like other programs at the end of a pipe that nobody reads: end silently
    _signal.signal(_signal.SIGPIPE, _signal.SIG_DFL)
    code = 1
    try:
        code = guarded(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
    except BrokenPipeError:
        code = 141
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except Exception:
        if "-D" in sys.argv or "--debug" in sys.argv:
            raise
        error = sys.exc_info()[1]
        _complain(f"{PROGRAM}: unexpected failure: {type(error).__name__}: {error} (more with --debug)")
    posix._exit(code)
