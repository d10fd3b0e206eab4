"""config.md, "Linux mount options": each option on a new file system, a bind mount, a whole tree."""

from __future__ import annotations

from tests.conformance.runtime.base import mount
from tests.conformance.runtime.case import Case

_CLAUSE = "config.md#linux-mount-options"
_FLAGS = "awk '$5 == \"/data\" {print $6}' /proc/self/mountinfo"
_BELOW = "awk '$5 == \"/data/below\" {print $6}' /proc/self/mountinfo"
# option: (the flag of mountinfo(5) that it adds, the option that takes it back)
_PAIRS = {
    "ro": ("ro", "rw"),
    "nosuid": ("nosuid", "suid"),
    "nodev": ("nodev", "dev"),
    "noexec": ("noexec", "exec"),
    "noatime": ("noatime", "atime"),
    "nodiratime": ("nodiratime", "diratime"),
    "nosymfollow": ("nosymfollow", "symfollow"),
}
_TREE = "mkdir -p data/below; mount -t tmpfs outer data; mkdir data/below; mount -t tmpfs inner data/below"
_NO_TREE = "umount data/below data"


def _flag(name: str) -> str:
    return rf"(^|,){name}(,|$)"


def _without(name: str) -> str:
    return rf"^(?!.*\b{name}\b)"


def _tmpfs(name: str, options: list[str], like: str) -> Case:
    return Case(name, _CLAUSE, {"+mounts": [mount("/data", "tmpfs", "tmpfs", *options)]}, _FLAGS, like=like)


def _bind(name: str, options: list[str], like: str) -> Case:
    change = {"+mounts": [mount("/data", "bind", "@BUNDLE@/data", "bind", *options)]}
    return Case(name, _CLAUSE, change, _FLAGS, like=like, before="mkdir data")


def _recursive(name: str, options: list[str], top: str, below: str) -> Case:
    # the tree is mounted by the case's own script and taken away by it: the container has its copy by then
    change = {"+mounts": [mount("/data", "bind", "@BUNDLE@/data", "rbind", *options)]}
    return Case(
        name, _CLAUSE, change, f"{_FLAGS}; {_BELOW}", like=f"{top}\n{below}", before=_TREE, always=_NO_TREE
    )


def _has(flag: str) -> str:
    return rf"^(?=.*\b{flag}\b).*"


def _hasnt(flag: str) -> str:
    return rf"^(?!.*\b{flag}\b).*"


CASES = [
    *(_tmpfs(f"{option} on a new file system", [option], _flag(flag)) for option,
      (flag, _) in _PAIRS.items()),
    *(_bind(f"{option} on a bind mount", [option], _flag(flag)) for option, (flag, _) in _PAIRS.items()),
    *(_tmpfs(f"{back} takes {option} back", [option, back], _without(flag))
      for option, (flag, back) in _PAIRS.items()),
    *(_recursive(f"r{option} holds in the whole tree", [f"r{option}"], _has(flag), _has(flag))
      for option, (flag, _) in _PAIRS.items()),
    *(_recursive(f"{option} of a tree holds at its top only", [option], _has(flag), _hasnt(flag))
      for option, (flag, _) in _PAIRS.items() if option != "noatime"),
    _recursive("rrw takes ro back in the whole tree", ["ro", "rrw"], _hasnt("ro"), _hasnt("ro")),
    _recursive("rsuid takes nosuid back", ["nosuid", "rsuid"], _hasnt("nosuid"), _hasnt("nosuid")),
    _tmpfs("relatime is what the kernel has anyway", ["relatime"], _flag("relatime")),
    _tmpfs("strictatime is neither relatime nor noatime", ["strictatime"], r"^(?!.*(relatime|noatime))"),
    _recursive("rrelatime holds in the whole tree", ["rrelatime"], _has("relatime"), _has("relatime")),
    _recursive("rstrictatime holds in the whole tree", ["rstrictatime"], _hasnt("relatime"),
               _hasnt("relatime")),
    _tmpfs("several options hold together", ["nosuid", "nodev", "noexec", "ro"], "ro,nosuid,nodev,noexec"),
    _tmpfs("defaults changes nothing", ["defaults"], "^rw"),
    _tmpfs("the last of two that contradict each other counts", ["ro", "rw"], "^rw"),
    _tmpfs("sync is the file system's", ["sync"], "^rw"),
    Case("sync is the file system's option", _CLAUSE, {"+mounts": [mount("/data", "tmpfs", "tmpfs", "sync")]},
         "grep ' /data ' /proc/mounts", like=r"\bsync\b"),
    Case("dirsync is the file system's option", _CLAUSE,
         {"+mounts": [mount("/data", "tmpfs", "tmpfs", "dirsync")]},
         "grep ' /data ' /proc/mounts", like=r"\bdirsync\b"),
    Case("an option that is not ours is the file system's", _CLAUSE,
         {"+mounts": [mount("/data", "tmpfs", "tmpfs", "size=64k", "mode=1700", "uid=3", "gid=4")]},
         "stat -c %a:%u:%g /data; df -k /data | awk 'NR==2 {print $2}'", see="1700:3:4\n64"),
    Case("an option that the file system does not know is refused", _CLAUSE,
         {"+mounts": [mount("/data", "tmpfs", "tmpfs", "nonsense=1")]}, "true",
         refused="/data|invalid argument"),
    Case("ro makes a bind mount really read-only", _CLAUSE,
         {"+mounts": [mount("/data", "bind", "@BUNDLE@/data", "rbind", "ro")]},
         "touch /data/x 2>/dev/null || echo refused", before="mkdir data", see="refused"),
    Case("the source of a read-only bind mount stays writable", _CLAUSE,
         {"+mounts": [mount("/data", "bind", "@BUNDLE@/data", "rbind", "ro")]}, "ls /data",
         before="mkdir data", after="touch data/later; ls data", see="later"),
    Case("noexec keeps programs from running", _CLAUSE,
         {"+mounts": [mount("/data", "tmpfs", "tmpfs", "noexec")]},
         "cp /bin/busybox /data/true; /data/true 2>/dev/null || echo refused", see="refused"),
    Case("nodev keeps devices from being devices", _CLAUSE,
         {"+mounts": [mount("/data", "tmpfs", "tmpfs", "nodev")]},
         "mknod /data/zero c 1 5; head -c 1 /data/zero 2>/dev/null || echo refused", see="refused"),
    Case("nosymfollow keeps links from being followed", _CLAUSE,
         {"+mounts": [mount("/data", "tmpfs", "tmpfs", "nosymfollow")]},
         "ln -s /bin /data/link; ls /data/link/ 2>/dev/null || echo refused", see="refused"),
    Case("tmpcopyup fills the file system with what was there", _CLAUSE,
         {"+mounts": [mount("/data", "tmpfs", "tmpfs", "tmpcopyup")]},
         "cat /data/file; stat -c %a:%u /data/file; readlink /data/sub/link; stat -c %a /data/sub",
         before="mkdir -p rootfs/data/sub; chmod 750 rootfs/data/sub; echo text >rootfs/data/file;"
                " chmod 640 rootfs/data/file; chown 7 rootfs/data/file; ln -s there rootfs/data/sub/link",
         see="text\n640:7\nthere\n750"),
    Case("what is written after tmpcopyup does not reach the image", _CLAUSE,
         {"+mounts": [mount("/data", "tmpfs", "tmpfs", "tmpcopyup")]}, "echo new >/data/file; cat /data/file",
         before="mkdir rootfs/data; echo old >rootfs/data/file", after="cat rootfs/data/file",
         see="new\nold"),
    Case("tmpcopyup on a place that is not there makes it everybody's", _CLAUSE,
         {"+mounts": [mount("/data", "tmpfs", "tmpfs", "tmpcopyup")]}, "stat -c %a:%u /data", see="1777:0"),
    Case("a tmpfs has the mode of what it covers", _CLAUSE, {"+mounts": [mount("/data", "tmpfs", "tmpfs")]},
         "stat -c %a /data", before="mkdir -m 710 rootfs/data", see="710"),
    Case("a tmpfs on a place that is not there is everybody's", _CLAUSE,
         {"+mounts": [mount("/data", "tmpfs", "tmpfs")]}, "stat -c %a /data", see="1777"),
    Case("without tmpcopyup a new file system is empty", _CLAUSE,
         {"+mounts": [mount("/data", "tmpfs", "tmpfs")]}, "ls /data",
         before="mkdir rootfs/data; echo old >rootfs/data/file", see=""),
]  # fmt: skip
