"""config-linux.md, "Seccomp": actions, errors, conditions on arguments, architectures, flags, listeners.

What is denied is mkdir(2), which busybox uses, and kill(2), with a number that a script can choose: the
first process of a pid namespace is not touched by signals from inside that it does not handle.
"""

from __future__ import annotations

from typing import Any

from tests.conformance.runtime.case import Case

_CLAUSE = "config-linux.md#seccomp"
_MKDIR = ["mkdir", "mkdirat"]
_TRY = "mkdir /tmp/d 2>/tmp/why && echo made || { cut -d: -f3 /tmp/why; }"
_ALLOW = "SCMP_ACT_ALLOW"


def _rule(action: str, names: list[str] | None = None, **more: Any) -> dict[str, Any]:
    return {"names": names or _MKDIR, "action": action, **more}


def _seccomp(
    name: str,
    rules: list[dict[str, Any]],
    probe: str,
    *,
    default: str = _ALLOW,
    more: dict[str, Any] | None = None,
    change: dict[str, Any] | None = None,
    **wanted: Any,
) -> Case:
    profile = {"defaultAction": default, "syscalls": rules, **(more or {})}
    return Case(name, _CLAUSE, {"linux": {"seccomp": profile}, **(change or {})}, probe, **wanted)


def _condition(operator: str, value: int, denied: list[int], allowed: list[int], two: int = 0) -> list[Case]:
    argument = {"index": 1, "value": value, "op": operator, **({"valueTwo": two} if two else {})}
    rules = [_rule("SCMP_ACT_ERRNO", ["kill"], args=[argument], errnoRet=95)]
    made = []
    for numbers, name, see in ((denied, "is denied", "denied"), (allowed, "is not denied", "allowed")):
        for number in numbers:
            probe = f"kill -{number} 1 2>/dev/null && echo allowed || echo denied"
            made.append(_seccomp(f"{operator} {value}: {number} {name}", rules, probe, see=see))
    return made


_ACTIONS = [
    _seccomp("without rules all is allowed", [], _TRY, see="made"),
    _seccomp("ERRNO is EPERM", [_rule("SCMP_ACT_ERRNO")], _TRY, see="Operation not permitted"),
    _seccomp("ERRNO with a number of its own", [_rule("SCMP_ACT_ERRNO", errnoRet=28)], _TRY,
             see="No space left on device"),
    _seccomp("ERRNO with the number 0 does nothing and says nothing", [_rule("SCMP_ACT_ERRNO", errnoRet=0)],
             "mkdir /tmp/d && ls /tmp", see=""),
    _seccomp("KILL ends the thread", [_rule("SCMP_ACT_KILL")], "mkdir /tmp/d; echo $?", see="159"),
    _seccomp("KILL_THREAD ends the thread", [_rule("SCMP_ACT_KILL_THREAD")], "mkdir /tmp/d; echo $?",
             see="159"),
    _seccomp("KILL_PROCESS ends the process", [_rule("SCMP_ACT_KILL_PROCESS")], "mkdir /tmp/d; echo $?",
             see="159"),
    _seccomp("TRAP is a signal", [_rule("SCMP_ACT_TRAP")], "mkdir /tmp/d; echo $?", see="159"),
    _seccomp("TRACE without a tracer is ENOSYS", [_rule("SCMP_ACT_TRACE")], _TRY,
             see="Function not implemented"),
    _seccomp("LOG allows", [_rule("SCMP_ACT_LOG")], _TRY, see="made"),
    _seccomp("ALLOW of one where all is allowed", [_rule(_ALLOW)], _TRY, see="made"),
    _seccomp("the default is for what no rule names", [_rule(_ALLOW, ["mkdir"])], "mkdir /tmp/d && ls /tmp",
             default="SCMP_ACT_LOG", see="d"),
    _seccomp("an unknown action is refused", [_rule("SCMP_ACT_NOPE")], "true",
             refused="SCMP_ACT_NOPE|action"),
    _seccomp("an unknown default action is refused", [], "true", default="SCMP_ACT_NOPE",
             refused="SCMP_ACT_NOPE|action"),
    _seccomp("no default action is refused", [], "true", default="", refused="action"),
    _seccomp("an unknown call is left out", [_rule("SCMP_ACT_ERRNO", ["no_such_call"]),
                                             _rule("SCMP_ACT_ERRNO")], _TRY,
             see="Operation not permitted"),
    _seccomp("a rule of several calls is for each", [_rule("SCMP_ACT_ERRNO", ["mkdir", "mkdirat", "symlink",
                                                                              "symlinkat"])],
             "mkdir /tmp/d 2>/dev/null || echo one; ln -s a /tmp/l 2>/dev/null || echo two", see="one\ntwo"),
    _seccomp("several rules hold together",
             [_rule("SCMP_ACT_ERRNO", errnoRet=13), _rule("SCMP_ACT_ERRNO", ["symlink", "symlinkat"],
                                                          errnoRet=28)],
             "mkdir /tmp/d 2>&1 | cut -d: -f3; ln -s a /tmp/l 2>&1 | cut -d: -f3",
             see="Permission denied\n No space left on device"),
    _seccomp("a filter is a filter", [_rule("SCMP_ACT_ERRNO")], "grep ^Seccomp: /proc/self/status",
             see="Seccomp:\t2"),
    Case("without seccomp there is no filter", _CLAUSE, {}, "grep ^Seccomp: /proc/self/status",
         see="Seccomp:\t0"),
]  # fmt: skip

_TWO_OF_THREE = "for n in 18 17 23; do kill -$n 1 2>/dev/null && echo allowed || echo denied; done"

_CONDITIONS = [
    *_condition("SCMP_CMP_EQ", 17, [17], [18]),
    *_condition("SCMP_CMP_NE", 17, [18], [17]),
    *_condition("SCMP_CMP_LT", 18, [17], [18]),
    *_condition("SCMP_CMP_LE", 18, [17, 18], [23]),
    *_condition("SCMP_CMP_GE", 18, [18, 23], [17]),
    *_condition("SCMP_CMP_GT", 18, [23], [18]),
    *_condition("SCMP_CMP_MASKED_EQ", 1, [17, 23], [18, 28], two=1),
    _seccomp("two conditions have to hold both",
             [_rule("SCMP_ACT_ERRNO", ["kill"], args=[{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"},
                                                      {"index": 1, "value": 18, "op": "SCMP_CMP_EQ"}])],
             "kill -18 1 2>/dev/null || echo denied; kill -17 1 && echo allowed;"
             " sleep 9 & kill -18 $! && echo other",
             see="denied\nallowed\nother"),
    _seccomp("one argument with two conditions: either is enough",
             [_rule("SCMP_ACT_ERRNO", ["kill"], args=[{"index": 1, "value": 17, "op": "SCMP_CMP_EQ"},
                                                      {"index": 1, "value": 18, "op": "SCMP_CMP_EQ"}])],
             _TWO_OF_THREE,
             see="denied\ndenied\nallowed"),
    _seccomp("two rules for one call add up",
             [_rule("SCMP_ACT_ERRNO", ["kill"], args=[{"index": 1, "value": number, "op": "SCMP_CMP_EQ"}])
              for number in (17, 18)],
             _TWO_OF_THREE,
             see="denied\ndenied\nallowed"),
    _seccomp("an unknown operator is refused",
             [_rule("SCMP_ACT_ERRNO", ["kill"], args=[{"index": 1, "value": 1, "op": "SCMP_CMP_NOPE"}])],
             "true",
             refused="SCMP_CMP_NOPE|operator|op"),
    _seccomp("an argument beyond the sixth is refused",
             [_rule("SCMP_ACT_ERRNO", ["kill"], args=[{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}])],
             "true",
             refused="index|argument|seccomp|arg"),
]  # fmt: skip

_REST = [
    _seccomp("architectures are added", [_rule("SCMP_ACT_ERRNO")], _TRY,
             more={"architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]},
             see="Operation not permitted"),
    _seccomp("an unknown architecture is refused", [_rule("SCMP_ACT_ERRNO")], "true",
             more={"architectures": ["SCMP_ARCH_PDP11"]}, refused="SCMP_ARCH_PDP11|arch"),
    _seccomp("the flag LOG", [_rule("SCMP_ACT_ERRNO")], _TRY, more={"flags": ["SECCOMP_FILTER_FLAG_LOG"]},
             see="Operation not permitted"),
    _seccomp("the flag SPEC_ALLOW", [_rule("SCMP_ACT_ERRNO")], _TRY,
             more={"flags": ["SECCOMP_FILTER_FLAG_SPEC_ALLOW"]},
             see="Operation not permitted"),
    _seccomp("the flag TSYNC", [_rule("SCMP_ACT_ERRNO")], _TRY, more={"flags": ["SECCOMP_FILTER_FLAG_TSYNC"]},
             see="Operation not permitted"),
    _seccomp("an unknown flag is refused", [_rule("SCMP_ACT_ERRNO")], "true",
             more={"flags": ["SECCOMP_FILTER_FLAG_X"]},
             refused="SECCOMP_FILTER_FLAG_X|flag"),
    _seccomp("the filter holds with noNewPrivileges", [_rule("SCMP_ACT_ERRNO")], _TRY,
             change={"process": {"noNewPrivileges": True}}, see="Operation not permitted"),
    _seccomp("the filter holds for a user", [_rule("SCMP_ACT_ERRNO")], _TRY,
             change={"process": {"user": {"uid": 1000, "gid": 1000}}}, before="chmod 1777 rootfs/tmp",
             see="Operation not permitted"),
    _seccomp("the filter holds for a user with noNewPrivileges", [_rule("SCMP_ACT_ERRNO")], _TRY,
             change={"process": {"user": {"uid": 1000, "gid": 1000}, "noNewPrivileges": True}},
             before="chmod 1777 rootfs/tmp", see="Operation not permitted"),
    _seccomp("the runtime's own calls may be forbidden to the process",
             [_rule("SCMP_ACT_ERRNO", ["mount", "pivot_root", "setns", "unshare", "umount2", "sethostname",
                                       "open_tree", "move_mount", "mount_setattr", "fsopen", "fsmount"])],
             "mount -t tmpfs x /tmp 2>/dev/null || echo denied", see="denied"),
    _seccomp("a notification goes to the listener, with the container's state", [_rule("SCMP_ACT_NOTIFY")],
             "mkdir /tmp/d 2>&1 | cut -d: -f3", more={"listenerPath": "@BUNDLE@/notify.sock",
                                                      "listenerMetadata": "mine"},
             helper="notify", like=r"No medium found\n\['seccompFd'\] mine creating c[0-9a-f]+ True"),
    _seccomp("a listener that is not there is refused", [_rule("SCMP_ACT_NOTIFY")], "true",
             more={"listenerPath": "@BUNDLE@/nobody.sock"}, refused="no such file|listener|seccomp"),
    _seccomp("a notification without a listener is refused", [_rule("SCMP_ACT_NOTIFY")], "true",
             refused="listener|seccomp"),
    _seccomp("a listener without a notification is of no consequence", [_rule("SCMP_ACT_ERRNO")], _TRY,
             more={"listenerPath": "@BUNDLE@/nobody.sock"}, see="Operation not permitted"),
    _seccomp("notification as the default action is refused", [], "true", default="SCMP_ACT_NOTIFY",
             more={"listenerPath": "@BUNDLE@/nobody.sock"}, refused="NOTIFY|default"),
    _seccomp("a notification of write is refused: the runtime itself writes",
             [_rule("SCMP_ACT_NOTIFY", ["write"])],
             "true", more={"listenerPath": "@BUNDLE@/nobody.sock"}, refused="write|NOTIFY"),
]  # fmt: skip

CASES = [*_ACTIONS, *_CONDITIONS, *_REST]
