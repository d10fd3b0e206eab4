"""config-linux.md: network devices that move in; config.md: the processors of what is executed."""

from __future__ import annotations

from typing import Any

from tests.conformance.runtime.base import namespaces
from tests.conformance.runtime.case import CREATE, END, START, Case, does, shell

_CLAUSE = "config-linux.md#network-devices"
# both names are short enough for a device (IFNAMSIZ), and the case's own
_PAIR = "ip link add @ID@ type veth peer name p@ID@"
_GONE = "ip link del p@ID@ 2>/dev/null; ip link del @ID@ 2>/dev/null; true"
_NAMES = "for d in /sys/class/net/*; do n=${d##*/}; case $n in lo|eth7|eth8|@ID@) echo $n;; esac; done | sort"


def _moved(name: str, devices: dict[str, Any], probe: str, before: str = _PAIR, **wanted: Any) -> Case:
    linux = {"netDevices": devices, **wanted.pop("linux", {})}
    return Case(name, _CLAUSE, {"linux": linux}, probe, before=before, always=_GONE, **wanted)


def _refused(name: str, devices: dict[str, Any], message: str, **wanted: Any) -> Case:
    return _moved(name, devices, "true", refused=message, **wanted)


_DEVICES = [
    _moved("a network device moves in", {"@ID@": {}},
           "[ -e /sys/class/net/@ID@ ] && echo there", see="there"),
    _moved("a network device that moved is no more on the host", {"@ID@": {}}, "true",
           after="ip link show @ID@ >/dev/null 2>&1 || echo gone", see="gone"),
    _moved("a network device gets another name", {"@ID@": {"name": "eth7"}}, _NAMES, see="eth7\nlo"),
    _moved("two network devices move in", {"@ID@": {"name": "eth7"}, "p@ID@": {"name": "eth8"}}, _NAMES,
           see="eth7\neth8\nlo"),
    _moved("a network device keeps its addresses", {"@ID@": {"name": "eth7"}}, "ip -4 addr show eth7",
           f"{_PAIR}; ip addr add 10.77.0.5/24 dev @ID@", like=r"inet 10\.77\.0\.5/24 "),
    _moved("a network device keeps its mtu", {"@ID@": {"name": "eth7"}}, "cat /sys/class/net/eth7/mtu",
           f"{_PAIR} mtu 1234; ip link set @ID@ mtu 1234", see="1234"),
    _moved("a network device is up inside", {"@ID@": {"name": "eth7"}}, "ip link show eth7",
           like="[<,]UP[,>]"),
    _refused("a network device that is not there is refused", {"nosuch0": {}}, "nosuch0"),
    _refused("a network device's name may not be too long", {"@ID@": {"name": "sixteen-letters0"}},
             "sixteen-letters0"),
    _refused("a network device's name may hold no slash", {"@ID@": {"name": "a/b"}}, "a/b"),
    _refused("a network device's name may hold no blank", {"@ID@": {"name": "a b"}}, "a b"),
    _refused("a network device's name may not be a dot", {"@ID@": {"name": "."}}, "netDevices"),
    _refused("network devices need a network namespace", {"@ID@": {}}, "network namespace",
             linux={"namespaces": namespaces("pid", "mount", "uts", "ipc")}),
    _refused("two network devices of one name are refused",
             {"@ID@": {"name": "eth7"}, "p@ID@": {"name": "eth7"}}, "eth7|p@ID@|@ID@|exists"),
]  # fmt: skip

_AFFINITY = "config.md#linux-process"
_SHOW = ("exec", "@ID@", "grep", "Cpus_allowed_list", "/proc/self/status")


def _affinity(name: str, affinity: dict[str, Any], *steps: Any) -> Case:
    change = {"process": {"execCPUAffinity": affinity}}
    return Case(name, _AFFINITY, change, "exec sleep 100", steps=(CREATE, START, *steps, *END))


_ONE = r"^Cpus_allowed_list:\s+0$"
_EXECUTED = [
    _affinity("what is executed runs on the final processors", {"final": "0"}, does(*_SHOW, like=_ONE)),
    _affinity("initial processors alone stay", {"initial": "0"}, does(*_SHOW, like=_ONE)),
    _affinity("initial and final processors", {"initial": "0", "final": "0"}, does(*_SHOW, like=_ONE)),
    _affinity("a list of processors", {"final": "0,0-0"}, does(*_SHOW, like=_ONE)),
    _affinity("a process file has processors of its own", {},
              shell("""echo '{"args": ["grep", "Cpus_allowed_list", "/proc/self/status"], "cwd": "/", """
                    """"env": ["PATH=/bin"], "execCPUAffinity": {"final": "0"}}' >process"""),
              does("exec", "--process", "@BUNDLE@/process", "@ID@", like=_ONE)),
    _affinity("processors that are not there are refused", {"final": "4000"},
              does(*_SHOW, fails="execCPUAffinity|affinity")),
    *(_affinity(f"processors {text!r} are refused", {"final": text},
                does(*_SHOW, fails="execCPUAffinity|affinity"))
      for text in ("x", "0-", "-1", "1-0", "0;1", "0,,1", "99999999999999999999")),
]  # fmt: skip

CASES = [*_DEVICES, *_EXECUTED]
