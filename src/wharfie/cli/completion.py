"""Completion for shells: ``completion SHELL`` prints a script, which asks ``__complete`` at each tab.

``__complete WORD... CURRENT`` prints what may stand for the last word, one a line, with a tab and a remark
where there is one; nothing where the shell had better offer files. What a command takes is read from its own
usage line, so a new command is completed without a word here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from wharfie.cli.context import Context, say
from wharfie.cli.errors import CommandError, NeedsHelp
from wharfie.cli.options import FLAG, Command
from wharfie.client.errors import ApiError, DaemonUnreachable
from wharfie.errors import WharfieError

COMPLETION = Command(
    "completion SHELL",
    "Print a completion script for bash, zsh or fish",
    needs=1,
    most=1,
)
_BASH = r"""# bash completion for wharfie: source <(wharfie completion bash)
_wharfie() {
    local line=${COMP_LINE:0:COMP_POINT} words current=
    read -ra words <<<"$line"
    if [[ $line == *[[:space:]] ]]; then words+=(""); else current=${words[-1]}; fi
    local found=()
    mapfile -t found < <("${words[0]}" __complete "${words[@]:1}" 2>/dev/null)
    COMPREPLY=("${found[@]%%$'\t'*}")
    # readline begins a new word behind each colon
    if [[ $current == *:* && $COMP_WORDBREAKS == *:* ]]; then
        COMPREPLY=("${COMPREPLY[@]#"${current%"${current##*:}"}"}")
    fi
}
complete -o default -F _wharfie wharfie
"""
_ZSH = r"""#compdef wharfie
# zsh completion for wharfie: wharfie completion zsh > "${fpath[1]}/_wharfie"
_wharfie() {
    local -a lines found
    local line
    lines=("${(@f)$("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    for line in $lines; do
        found+=("${${line%%$'\t'*}//:/\\:}${${line#*$'\t'}:+:${line#*$'\t'}}")
    done
    if (( $#found )); then _describe wharfie found; else _files; fi
}
compdef _wharfie wharfie
"""
_FISH = r"""# fish completion for wharfie: wharfie completion fish | source
function __wharfie_complete
    set -l words (commandline -opc)
    $words[1] __complete $words[2..-1] (commandline -ct) 2>/dev/null
end
complete -c wharfie -a '(__wharfie_complete)'
"""
SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
_PLACE = re.compile(r"[A-Z][A-Z|_-]*")
_VALUES = {
    "network": "NETWORK",
    "net": "NETWORK",
    "volumes-from": "CONTAINER",
    "link": "CONTAINER",
    "context": "CONTEXT",
    "from": "CONTEXT",
}
"""Options whose value is the name of something."""
_CHOICES = {
    "pull": ("always", "missing", "never"),
    "restart": ("no", "always", "on-failure", "unless-stopped"),
    "log-level": ("debug", "info", "warn", "error", "fatal"),
    "progress": ("auto", "plain", "rawjson", "quiet"),
}

Candidate = tuple[str, str]


def completion(context: Context, arguments: list[str]) -> int:
    """``completion``."""
    _, (shell,) = COMPLETION.parse(arguments)
    if shell not in SCRIPTS:
        raise CommandError(f'there is no completion for "{shell}": the shells are bash, zsh and fish')
    say(SCRIPTS[shell].rstrip("\n"))
    return 0


def complete(context: Context, arguments: list[str]) -> int:
    """``__complete``."""
    *words, current = arguments or [""]
    found = sorted(one for one in set(candidates(context, words, current)) if one[0].startswith(current))
    for word, about in found:
        say(f"{word}\t{about}" if about else word)
    return 0


def candidates(context: Context, words: list[str], current: str) -> Iterable[Candidate]:
    """What may come after ``words``; the beginning of it is ``current``."""
    from wharfie.cli.main import COMMANDS, GLOBAL, GROUPS
    from wharfie.cli.summaries import GROUP_ABOUT, SUMMARIES

    at = _behind_options(GLOBAL, words)
    if at is None:
        return _values(context, _option(GLOBAL, words[-1]))
    if at == len(words):
        if current.startswith("-"):
            return _options(GLOBAL)
        commands = [(name, SUMMARIES[name]) for name in COMMANDS if name in SUMMARIES]
        return [*commands, *GROUP_ABOUT.items()]
    name, *rest = words[at:]
    if name in GROUPS and not rest:
        return [(one, "") for one in GROUPS[name]]
    command = _command(context, words[at:])
    if command is None:
        return []
    depth = len(command.name.split()) if name in GROUPS else 1
    return _arguments(context, command, words[at + depth :], current)


def _command(context: Context, words: list[str]) -> Command | None:
    from wharfie.cli.main import _load, find

    try:
        module, function, _ = find(words)
        getattr(_load(module), function)(context, ["--help"])
    except NeedsHelp as asked:
        return asked.command
    except WharfieError:
        return None
    return None


def _arguments(context: Context, command: Command, words: list[str], current: str) -> Iterable[Candidate]:
    if words and words[-1].startswith("-"):
        option = _option(command, words[-1])
        if option is not None and option[2] != FLAG and "=" not in words[-1]:
            return _values(context, option)
    if current.startswith("-"):
        name, equals, _ = current.partition("=")
        if not equals:
            return _options(command)
        return [(f"{name}={value}", about) for value, about in _values(context, _option(command, name))]
    count = 0
    takes_value = False
    for word in words:
        if takes_value:
            takes_value = False
        elif word.startswith("-") and word != "--":
            option = _option(command, word)
            takes_value = option is not None and option[2] != FLAG and "=" not in word
        else:
            count += 1
    places = [place for place in command.usage.split()[1:] if _PLACE.search(place) and "OPTIONS" not in place]
    if not places:
        return []
    if count >= len(places) and "..." not in places[-1]:
        return []
    place = _PLACE.search(places[min(count, len(places) - 1)])
    assert place is not None
    return _named(context, place[0])


def _options(command: Command) -> list[Candidate]:
    return [(f"--{row[0]}", row[3]) for row in command.options if row[3]]


def _option(command: Command, word: str) -> Any:
    """The row of an option by any of its spellings."""
    name = word.lstrip("-").partition("=")[0]
    for row in command.options:
        if name == row[0] or (not word.startswith("--") and name and name[-1] == row[1]):
            return row
    return None


def _behind_options(command: Command, words: list[str]) -> int | None:
    """Where the first word is that is no global option; None where an option's value is to come."""
    at = 0
    while at < len(words) and words[at].startswith("-"):
        option = _option(command, words[at])
        at += 1
        if option is not None and option[2] != FLAG and "=" not in words[at - 1]:
            if at == len(words):
                return None
            at += 1
    return at


def _values(context: Context, option: Any) -> list[Candidate]:
    if option is None:
        return []
    if option[0] in _CHOICES:
        return [(value, "") for value in _CHOICES[option[0]]]
    return _named(context, _VALUES.get(option[0], ""))


def _named(context: Context, place: str) -> list[Candidate]:
    """Names of what a word of the usage line stands for."""
    if "CONTEXT" in place:
        from wharfie.client.contextstore import ContextStore

        return [(name, "") for name in ("default", *ContextStore(context.config_directory).names())]
    found: list[Candidate] = []
    # a tab starts no daemon and warns of nothing
    context.api.starter = context.api.greeter = None
    try:
        for kind, list_ in _LISTS.items():
            if kind in place:
                found += list_(context.api)
    except (ApiError, DaemonUnreachable):
        return []
    return found


def _containers(api: Any) -> list[Candidate]:
    every = api.get("/containers/json?all=1") or []
    return [(name.lstrip("/"), one["Status"]) for one in every for name in one["Names"][:1]]


def _images(api: Any) -> list[Candidate]:
    every = api.get("/images/json") or []
    return [(name, one["Id"].removeprefix("sha256:")[:12]) for one in every for name in one["RepoTags"] or []]


def _networks(api: Any) -> list[Candidate]:
    return [(one["Name"], one["Driver"]) for one in api.get("/networks") or []]


def _volumes(api: Any) -> list[Candidate]:
    return [(one["Name"], one["Driver"]) for one in (api.get("/volumes") or {}).get("Volumes") or []]


_LISTS = {"CONTAINER": _containers, "IMAGE": _images, "NETWORK": _networks, "VOLUME": _volumes}
