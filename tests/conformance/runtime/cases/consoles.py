"""config.md, "Process": terminal and consoleSize; config-linux.md: /dev/console."""

from __future__ import annotations

from tests.conformance.runtime.case import DELETE, START, STOPPED, Case, does

_CLAUSE = "config.md#process"
_TERMINAL = {"process": {"terminal": True}}
_CREATE = does("create", "--bundle", "@BUNDLE@", "--console-socket", "@BUNDLE@/console.sock", "@ID@")
_SIZED = {"process": {"terminal": True, "consoleSize": {"height": 33, "width": 99}}}


def _over_socket(name: str, probe: str, like: str, change: dict[str, object] | None = None) -> Case:
    return Case(name, _CLAUSE, change or _TERMINAL, probe, like=like, helper="console",
                steps=(_CREATE, START, STOPPED, DELETE))  # fmt: skip


CASES = [
    Case("with terminal all three streams are one", _CLAUSE, _TERMINAL,
         "for n in 0 1 2; do [ -t $n ] && echo $n; done",
         like="0\n1\n2", rows=(24, 80)),
    Case("the terminal is of the container's own /dev/pts", _CLAUSE, _TERMINAL, "tty", like="^/dev/pts/0$",
         rows=(24, 80)),
    Case("the terminal controls the process", _CLAUSE, _TERMINAL, "echo hello >/dev/tty", like="^hello$",
         rows=(24, 80)),
    Case("/dev/console is the terminal", "config-linux.md#default-devices", _TERMINAL,
         "echo there >/dev/console; stat -c %t:%T /dev/console /dev/pts/0 | sort -u | wc -l",
         like="there\n1$",
         rows=(24, 80)),
    Case("a terminal has the size of the caller's", _CLAUSE, _TERMINAL, "stty size", like="^31 97$",
         rows=(31, 97)),
    Case("without terminal no stream is one", _CLAUSE, {}, "[ -t 0 ] || [ -t 1 ] || [ -t 2 ] || echo none",
         see="none"),
    Case("without terminal there is no /dev/console", "config-linux.md#default-devices", {},
         "[ -e /dev/console ] || echo none", see="none"),
    Case("the terminal belongs to the user", _CLAUSE,
         {"process": {"terminal": True, "user": {"uid": 1000, "gid": 1000}}},
         "stat -c %u /dev/pts/0; echo hi >/dev/tty",
         like="^1000\nhi$", rows=(24, 80)),
    Case("a terminal without a console socket is refused when detached", _CLAUSE, _TERMINAL, "true",
         steps=(does("create", "--bundle", "@BUNDLE@", "@ID@", fails="console"),)),
    Case("a console socket without a terminal is refused", _CLAUSE, {}, "true",
         steps=(does("create", "--bundle", "@BUNDLE@", "--console-socket", "@BUNDLE@/none.sock", "@ID@",
                     fails="console|terminal|tty"),)),
    Case("a console socket where nobody listens is refused", _CLAUSE, _TERMINAL, "true",
         steps=(does("create", "--bundle", "@BUNDLE@", "--console-socket", "@BUNDLE@/none.sock", "@ID@",
                     fails="no such file|connect"),)),
    _over_socket("the console socket gets the terminal", "tty; echo said", r"/dev/pts/0\nsaid"),
    _over_socket("consoleSize is the terminal's", "stty size", "^33 99$", _SIZED),
    _over_socket("what the process writes to its error stream is on the terminal", "echo bad >&2", "^bad$"),
]  # fmt: skip
