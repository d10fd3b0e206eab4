"""config.md, "Linux Process": the five sets of capabilities."""

from __future__ import annotations

from tests.conformance.runtime.base import CAPABILITIES
from tests.conformance.runtime.case import Case

_CLAUSE = "config.md#linux-process"
_SETS = {"bounding": "Bnd", "effective": "Eff", "permitted": "Prm", "inheritable": "Inh", "ambient": "Amb"}
_NUMBERS = {
    "CAP_CHOWN": 0,
    "CAP_DAC_OVERRIDE": 1,
    "CAP_KILL": 5,
    "CAP_SETPCAP": 8,
    "CAP_NET_ADMIN": 12,
    "CAP_NET_RAW": 13,
    "CAP_SYS_ADMIN": 21,
    "CAP_SYS_NICE": 23,
    "CAP_MKNOD": 27,
    "CAP_SETFCAP": 31,
    "CAP_SYSLOG": 34,
    "CAP_PERFMON": 38,
    "CAP_BPF": 39,
    "CAP_CHECKPOINT_RESTORE": 40,
}


def _line(name: str, mask: int) -> str:
    return f"Cap{_SETS[name]}:\t{mask:016x}"


def _case(name: str, sets: dict[str, list[str]] | None, probe: str, see: str, uid: int = 0) -> Case:
    chosen = None if sets is None else {key: sets.get(key) for key in _SETS}
    change = {"process": {"capabilities": chosen, "user": {"uid": uid, "gid": uid}}}
    return Case(name, _CLAUSE, change, probe, see=see)


def _one(capability: str, number: int) -> Case:
    sets = {key: [capability] for key in _SETS}
    see = "\n".join(
        _line(key, 1 << number) for key in ("inheritable", "permitted", "effective", "bounding", "ambient")
    )
    return _case(f"{capability} alone in all five sets", sets, "grep ^Cap /proc/self/status", see)


CASES = [
    *(_one(*item) for item in _NUMBERS.items()),
    _case("Docker's fourteen", dict.fromkeys(("bounding", "effective", "permitted"), CAPABILITIES),
          "grep -E 'Cap(Bnd|Eff|Prm)' /proc/self/status",
          "CapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb"),
    _case("none at all", {}, "grep ^Cap /proc/self/status | cut -f2 | sort -u", "0000000000000000"),
    _case("sets that are left out are empty", None, "grep ^CapBnd /proc/self/status",
          "CapBnd:\t0000000000000000"),
    _case("a bounding set alone gives root what it bounds", {"bounding": ["CAP_KILL"]},
          "grep -E 'Cap(Eff|Bnd)' /proc/self/status", "CapEff:\t0000000000000020\nCapBnd:\t0000000000000020"),
    _case("a user has what is ambient after execve",
          {key: ["CAP_NET_RAW", "CAP_KILL"] for key in _SETS} | {"ambient": ["CAP_KILL"]},
          "grep -E 'Cap(Eff|Amb)' /proc/self/status", "CapEff:\t0000000000000020\nCapAmb:\t0000000000000020",
          1000),
    _case("a user without ambient ones has none after execve",
          {key: ["CAP_NET_RAW"] for key in ("bounding", "effective", "permitted")},
          "grep -E 'Cap(Eff|Prm|Bnd)' /proc/self/status",
          "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t0000000000002000", 1000),
    _case("inheritable ones without ambient stay inheritable",
          {key: ["CAP_NET_RAW"] for key in ("bounding", "effective", "permitted", "inheritable")},
          "grep -E 'Cap(Inh|Amb)' /proc/self/status", "CapInh:\t0000000000002000\nCapAmb:\t0000000000000000",
          1000),
    _case("CAP_CHOWN acts", {key: ["CAP_CHOWN"] for key in ("bounding", "effective", "permitted")},
          "touch /tmp/f && chown 5:5 /tmp/f && stat -c %u /tmp/f", "5"),
    _case("without CAP_CHOWN root cannot give files away",
          {key: ["CAP_KILL"] for key in ("bounding", "effective", "permitted")},
          "touch /tmp/f; chown 5:5 /tmp/f 2>/dev/null || echo refused", "refused"),
    _case("without CAP_DAC_OVERRIDE root obeys permissions",
          {key: ["CAP_KILL"] for key in ("bounding", "permitted")},
          "touch /tmp/f; chmod 0 /tmp/f; cat /tmp/f 2>/dev/null || echo refused", "refused"),
    _case("without CAP_SYS_ADMIN nothing is mounted", dict.fromkeys(("bounding", "effective", "permitted"),
                                                                    CAPABILITIES),
          "mount -t tmpfs x /tmp 2>/dev/null || echo refused", "refused"),
    _case("with CAP_SYS_ADMIN something is",
          {key: ["CAP_SYS_ADMIN"] for key in ("bounding", "effective", "permitted")},
          "mount -t tmpfs x /tmp && echo done", "done"),
    _case("with CAP_NET_ADMIN the loopback goes up",
          {key: ["CAP_NET_ADMIN"] for key in ("bounding", "effective", "permitted")},
          "ip link set lo up && ip link show lo | grep -c ,UP", "1"),
    _case("without CAP_SYS_TIME the clock is not set", dict.fromkeys(("bounding", "effective", "permitted"),
                                                                     CAPABILITIES),
          "date -s 2000-01-01 2>&1 | grep -o not.permitted", "not permitted"),
    _case("no capability is left that was not given, the highest neither",
          {key: ["CAP_KILL"] for key in ("bounding", "effective", "permitted")},
          "grep CapBnd /proc/self/status", "CapBnd:\t0000000000000020"),
]  # fmt: skip
