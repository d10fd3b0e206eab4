"""config-linux.md: devices, default devices, and the rules of which may be used."""

from __future__ import annotations

from typing import Any

from tests.conformance.runtime.base import PROC
from tests.conformance.runtime.case import Case

_NODES = "config-linux.md#devices"
_DEFAULT = "config-linux.md#default-devices"
_RULES = "config-linux.md#allowed-device-list"
_DENY: dict[str, Any] = {"allow": False, "access": "rwm"}
_USES = {
    # default device: (its numbers in hexadecimal, a use of it, what that shows)
    "null": ("1:3", "echo x >/dev/null; cat /dev/null | wc -c", "0"),
    "zero": ("1:5", "head -c 2 /dev/zero | od -An -tx1 | tr -d ' '", "0000"),
    "full": ("1:7", "sh -c 'echo x >/dev/full' 2>/dev/null || echo full", "full"),
    "random": ("1:8", "head -c 3 /dev/random | wc -c", "3"),
    "urandom": ("1:9", "head -c 3 /dev/urandom | wc -c", "3"),
    "tty": ("5:0", "echo there", "there"),
}
_LINKS = {"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1",
          "stderr": "/proc/self/fd/2"}  # fmt: skip


def _device(name: str, devices: list[dict[str, Any]], probe: str, **wanted: Any) -> Case:
    rules = [{"allow": True, "access": "rwm"}]
    linux = {"devices": devices, "resources": {"devices": rules}}
    return Case(name, _NODES, {"linux": linux}, probe, **wanted)


def _rule(name: str, rules: list[dict[str, Any]], probe: str, see: str) -> Case:
    return Case(name, _RULES, {"linux": {"resources": {"devices": rules}}}, probe, see=see)


def _node(path: str, kind: str, *numbers: int, **more: int) -> dict[str, Any]:
    return {"path": path, "type": kind, **dict(zip(("major", "minor"), numbers, strict=False)), **more}


def _allow(kind: str, access: str, *numbers: int) -> dict[str, Any]:
    return {
        "allow": True,
        "type": kind,
        "access": access,
        **dict(zip(("major", "minor"), numbers, strict=False)),
    }


# what the rules forbid is EPERM; a device that is not there at all is another matter
_READ = (
    "dd if=/tmp/d of=/dev/null bs=1 count=0 2>&1 | grep -q 'not permitted' && echo refused || echo allowed"
)
_WRITE = (
    "dd if=/dev/null of=/tmp/d conv=notrunc 2>&1 | grep -q 'not permitted' && echo refused || echo allowed"
)

CASES = [
    *(Case(f"/dev/{name} is there and is that device", _DEFAULT, {}, f"stat -c %t:%T:%a /dev/{name}; {use}",
           see=f"{numbers}:666\n{seen}") for name, (numbers, use, seen) in _USES.items()),
    *(Case(f"/dev/{name} is the link it should be", _DEFAULT, {}, f"readlink /dev/{name}", see=target)
      for name, target in _LINKS.items()),
    Case("/dev/ptmx is the multiplexer of the container's own /dev/pts", _DEFAULT, {},
         "readlink /dev/ptmx; stat -c %t:%T /dev/pts/ptmx", like="^(/dev/)?pts/ptmx\n5:2"),
    Case("nothing else of the host is in /dev", _DEFAULT, {},
         "ls /dev | grep -v -E '^(core|fd|full|mqueue|null|ptmx|pts|random|shm)$' |"
         " grep -v -E '^(stderr|stdin|stdout|tty|urandom|zero)$'"
         " || echo nothing", see="nothing"),
    Case("devices are made in the root's own /dev where nothing is mounted", _DEFAULT, {"mounts": [PROC]},
         "stat -c %t:%T /dev/null", see="1:3"),
    Case("default devices are usable by anybody", _DEFAULT, {"process": {"user": {"uid": 1000, "gid": 1000}}},
         "echo x >/dev/null && head -c 1 /dev/urandom | wc -c", see="1"),
    Case("default devices are usable where everything is denied", _DEFAULT,
         {"linux": {"resources": {"devices": [_DENY]}}},
         "for d in null zero full random urandom; do head -c 1 /dev/$d >/dev/null || echo $d; done;"
         " echo done",
         see="done"),
    _device("a character device", [_node("/dev/mine", "c", 1, 5)], "stat -c '%F %t:%T' /dev/mine",
            see="character special file 1:5"),
    _device("a block device", [_node("/dev/mine", "b", 7, 3)], "stat -c '%F %t:%T' /dev/mine",
            see="block special file 7:3"),
    _device("an unbuffered device is a character device", [_node("/dev/mine", "u", 1, 5)],
            "stat -c '%F %t:%T' /dev/mine", see="character special file 1:5"),
    _device("a named pipe", [_node("/dev/mine", "p")], "stat -c %F /dev/mine", see="fifo"),
    _device("a device with its mode", [_node("/dev/mine", "c", 1, 5, fileMode=0o640)], "stat -c %a /dev/mine",
            see="640"),
    _device("a device with its owner", [_node("/dev/mine", "c", 1, 5, uid=3, gid=4)],
            "stat -c %u:%g /dev/mine",
            see="3:4"),
    _device("a device outside of /dev", [_node("/run/deep/mine", "c", 1, 5)], "stat -c %t:%T /run/deep/mine",
            see="1:5"),
    _device("a device in a new directory of /dev", [_node("/dev/net/tun", "c", 10, 200)],
            "stat -c %t:%T /dev/net/tun",
            see="a:c8"),
    _device("a device works", [_node("/dev/mine", "c", 1, 5)],
            "head -c 1 /dev/mine | od -An -tx1 | tr -d ' '", see="00"),
    _device("large numbers", [_node("/dev/mine", "c", 511, 1000000)], "stat -c %t:%T /dev/mine",
            see="1ff:f4240"),
    _device("two devices", [_node("/dev/one", "c", 1, 5), _node("/dev/two", "c", 1, 7)],
            "stat -c %t:%T /dev/one /dev/two", see="1:5\n1:7"),
    _device("a device without a path is refused", [{"type": "c", "major": 1, "minor": 5}], "true",
            refused="device|path|dev"),
    _device("a device of an unknown type is refused", [_node("/dev/mine", "x", 1, 5)], "true",
            refused="device|type"),
    _device("a device in place of one of the default ones is that",
            [_node("/dev/full", "c", 1, 5, fileMode=0o600)],
            "stat -c %t:%T:%a /dev/full", see="1:5:600"),
    Case("a file that is there already in place of a device is refused", _NODES,
         {"linux": {"devices": [_node("/tmp/mine", "c", 1, 5)]}}, "stat -c %F /tmp/mine",
         before="touch rootfs/tmp/mine", refused="mine|device|exist"),
    Case("a device that is there already is taken", _NODES,
         {"linux": {"devices": [_node("/tmp/mine", "c", 1, 5)]}},
         "stat -c %t:%T /tmp/mine", before="mknod rootfs/tmp/mine c 1 5", see="1:5"),
    _rule("all denied: another device cannot be read", [_DENY], f"mknod /tmp/d c 10 229; {_READ}", "refused"),
    _rule("all denied, one allowed: that can be read", [_DENY, _allow("c", "rwm", 10, 229)],
          f"mknod /tmp/d c 10 229; {_READ}", "allowed"),
    _rule("allowed to be read is not allowed to be written", [_DENY, _allow("c", "r", 10, 229)],
          f"mknod /tmp/d c 10 229; {_WRITE}", "refused"),
    _rule("allowed to be written is so", [_DENY, _allow("c", "rw", 10, 229)],
          f"mknod /tmp/d c 10 229; {_WRITE}", "allowed"),
    _rule("a whole major number", [_DENY, _allow("c", "rwm", 10)], f"mknod /tmp/d c 10 229; {_READ}",
          "allowed"),
    _rule("a minor number of any major one", [_DENY,
                                              {"allow": True, "type": "c", "minor": 229, "access": "rwm"}],
          f"mknod /tmp/d c 10 229; {_READ}", "allowed"),
    _rule("all character devices", [_DENY, _allow("c", "rwm")], f"mknod /tmp/d c 10 229; {_READ}", "allowed"),
    _rule("all block devices are no character devices", [_DENY, _allow("b", "rwm")],
          f"mknod /tmp/d c 10 229; {_READ}",
          "refused"),
    _rule("all devices", [{"allow": True, "access": "rwm"}], f"mknod /tmp/d c 10 229; {_READ}", "allowed"),
    _rule("another one is still denied", [_DENY, _allow("c", "rwm", 10, 229)],
          f"mknod /tmp/d c 10 237; {_READ}",
          "refused"),
    _rule("a later denial counts", [_DENY, _allow("c", "rwm", 10, 229),
                                    {**_allow("c", "rwm", 10, 229), "allow": False}],
          f"mknod /tmp/d c 10 229; {_READ}", "refused"),
    _rule("all allowed but one", [{"allow": True, "access": "rwm"},
                                  {**_allow("c", "rwm", 10, 229), "allow": False}],
          "{ mknod /tmp/d c 10 229 && head -c 0 </tmp/d; } 2>&1 | grep -q 'not permitted' && echo refused;"
          " mknod /tmp/e c 10 183; [ -c /tmp/e ] && echo made",
          "refused\nmade"),
    Case("an unknown type in a rule is refused", _RULES,
         {"linux": {"resources": {"devices": [{"allow": True, "type": "x", "access": "rwm"}]}}}, "true",
         refused="device|type"),
    Case("an unknown access in a rule is refused", _RULES,
         {"linux": {"resources": {"devices": [{"allow": True, "type": "c", "major": 1, "minor": 1,
                                               "access": "q"}]}}},
         "true", refused="device|access|perm|invalid"),
]  # fmt: skip
