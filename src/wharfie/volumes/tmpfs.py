"""The options of a tmpfs mount: which ones a container may ask for, and how ``--mount`` spells them."""

from __future__ import annotations

from wharfie.volumes.model import InvalidMount
from wharfie.wire.config import TmpfsOptions

DEFAULTS = ("noexec", "nosuid", "nodev")
_OPPOSITES = (
    ("ro", "rw"),
    ("suid", "nosuid"),
    ("dev", "nodev"),
    ("exec", "noexec"),
    ("sync", "async"),
    ("mand", "nomand"),
    ("atime", "noatime"),
    ("diratime", "nodiratime"),
    ("relatime", "norelatime"),
    ("strictatime", "nostrictatime"),
)
_PROPAGATIONS = frozenset(
    {"private", "rprivate", "shared", "rshared", "slave", "rslave", "unbindable", "runbindable"}
)
_FLAGS = frozenset(word for pair in _OPPOSITES for word in pair) | {"defaults", "dirsync"} | _PROPAGATIONS
_VALUES = frozenset({"size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol", "huge"})


def validate_tmpfs(words: tuple[str, ...]) -> None:
    """Raises InvalidMount for an option that a tmpfs does not have."""
    for word in words:
        key, equals, value = word.partition("=")
        if equals and key in _VALUES and value and "\0" not in value:
            continue
        if not equals and key in _FLAGS:
            continue
        raise InvalidMount(f'invalid tmpfs option "{word if key in _VALUES or key in _FLAGS else key}"')


def merge_tmpfs(words: tuple[str, ...]) -> tuple[str, ...]:
    """The container's options over the defaults (noexec, nosuid, nodev): the later of opposites wins."""
    kept: dict[str, str] = {}
    for word in (*DEFAULTS, *words):
        key = word.partition("=")[0]
        if key == "defaults":
            continue
        group = next((pair[0] for pair in _OPPOSITES if key in pair), key)
        kept.pop(group, None)
        kept[group] = word
    return tuple(kept.values())


def tmpfs_options(options: TmpfsOptions | None, read_only: bool) -> tuple[str, ...]:
    """What a ``--mount type=tmpfs`` asks for, in mount(8)'s words; raises InvalidMount."""
    words: list[str] = ["ro"] if read_only else []
    if options is not None:
        if options.mode:
            if not 0 <= options.mode <= 0o7777:
                raise InvalidMount(f'invalid mount config for type "tmpfs": invalid mode: {options.mode:o}')
            words.append(f"mode={options.mode:o}")
        if options.size_bytes:
            if options.size_bytes < 0:
                raise InvalidMount('invalid mount config for type "tmpfs": the size must not be negative')
            words.append(f"size={_size(options.size_bytes)}")
        for option in options.options or []:
            if len(option) not in (1, 2):
                raise InvalidMount('invalid mount config for type "tmpfs": invalid option array length')
            words.append("=".join(option))
        validate_tmpfs(tuple(words))
    return tuple(words)


def _size(number: int) -> str:
    for suffix, divisor in (("g", 1 << 30), ("m", 1 << 20), ("k", 1 << 10)):
        if number % divisor == 0:
            return f"{number // divisor}{suffix}"
    return str(number)
