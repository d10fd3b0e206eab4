"""Device rules: what OCI's ``linux.resources.devices`` means, before a kernel version's way of saying it.

Rules are applied in order, a later one wins. Nothing is allowed at first; at the end come the devices
every container has (runtime-spec, "Default Devices"), as runc and crun do it. A rule for all devices sets the
default and forgets what came before. See the kernel's cgroup-v1/devices.rst.
"""

from __future__ import annotations

from wharfie.runtime.cgroups.errors import LimitRefused

ANY = -1
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Rule:
    """One rule: ``kind`` is a, b or c; ``major`` and ``minor`` a number or ANY; ``access`` of r, w, m."""

    __slots__ = ("access", "allow", "kind", "major", "minor")

    def __init__(self, allow: bool, kind: str, major: int, minor: int, access: str) -> None:
        self.allow = allow
        self.kind = kind
        self.major = major
        self.minor = minor
        self.access = access

    def text(self) -> str:
        """As version 1 and Docker write it: ``c 1:3 rwm``."""
        major = "*" if self.major == ANY else self.major
        minor = "*" if self.minor == ANY else self.minor
        return f"{self.kind} {major}:{minor} {self.access}"

    def meets(self, other: Rule) -> bool:
        """Whether some device and access falls under both."""
        return (
            (self.kind == other.kind)
            and (ANY in (self.major, other.major) or self.major == other.major)
            and (ANY in (self.minor, other.minor) or self.minor == other.minor)
            and any(way in other.access for way in self.access)
        )

    def covers(self, other: Rule) -> bool:
        """Whether every device of ``other`` is one of this rule's."""
        return (
            self.kind == other.kind and self.major in (ANY, other.major) and self.minor in (ANY, other.minor)
        )


# null, zero, full, random, urandom, tty, console, ptmx, pts, and making any node (which opens nothing)
DEFAULT = (
    Rule(True, "c", ANY, ANY, "m"),
    Rule(True, "b", ANY, ANY, "m"),
    Rule(True, "c", 1, 3, "rwm"),
    Rule(True, "c", 1, 5, "rwm"),
    Rule(True, "c", 1, 7, "rwm"),
    Rule(True, "c", 1, 8, "rwm"),
    Rule(True, "c", 1, 9, "rwm"),
    Rule(True, "c", 5, 0, "rwm"),
    Rule(True, "c", 5, 1, "rwm"),
    Rule(True, "c", 5, 2, "rwm"),
    Rule(True, "c", 136, ANY, "rwm"),
)


def _parse(rule: dict[str, Any]) -> Rule:
    kind = rule.get("type") or "a"
    access = "".join(way for way in "rwm" if way in (rule.get("access") or "rwm"))
    numbers = [
        ANY if rule.get(name) is None or rule[name] < 0 else int(rule[name]) for name in ("major", "minor")
    ]
    if kind not in ("a", "b", "c", "u") or set(rule.get("access") or "") - set("rwm"):
        raise LimitRefused(f'"{rule}" is not a rule for devices.')
    return Rule(bool(rule.get("allow")), "c" if kind == "u" else kind, numbers[0], numbers[1], access)


class Policy:
    """What a list of rules comes to: a default, then exceptions in order."""

    __slots__ = ("allow_all", "rules")

    def __init__(self, rules: list[dict[str, Any]]) -> None:
        self.allow_all = False
        self.rules: list[Rule] = []
        for rule in [*map(_parse, rules), *DEFAULT]:
            if rule.kind == "a" and rule.major == ANY and rule.minor == ANY and rule.access == "rwm":
                self.allow_all = rule.allow
                self.rules.clear()
            elif rule.kind == "a":
                # a rule about both kinds, but not about all of them
                for kind in "bc":
                    self._add(Rule(rule.allow, kind, rule.major, rule.minor, rule.access))
            else:
                self._add(rule)

    def _add(self, rule: Rule) -> None:
        disputed = any(known.allow != rule.allow and known.meets(rule) for known in self.rules)
        known_already = any(known.allow == rule.allow and known.text() == rule.text() for known in self.rules)
        if disputed or (rule.allow != self.allow_all and not known_already):
            self.rules.append(rule)

    def exceptions(self) -> list[Rule]:
        """The rules as version 1 can hold them: exceptions from the default, all of one sign.

        A part of an exception cannot be taken back there; the kernel ignores that without a word, so it is
        refused here instead of leaving more open than was asked for.
        """
        result: list[Rule] = []
        for rule in self.rules:
            if rule.allow != self.allow_all:
                result.append(rule)
                continue
            for known in [known for known in result if known.meets(rule)]:
                if not rule.covers(known):
                    raise LimitRefused(
                        f'The device rules contradict each other ("{known.text()}", then "{rule.text()}"), '
                        "which control groups of version 1 cannot hold."
                    )
                left = "".join(way for way in known.access if way not in rule.access)
                result.remove(known)
                if left:
                    result.append(Rule(known.allow, known.kind, known.major, known.minor, left))
        return result
