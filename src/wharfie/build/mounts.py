"""``RUN --mount``: the fields of each kind, in Docker's words where they are wrong."""

from __future__ import annotations

from wharfie.build.errors import DockerfileError
from wharfie.build.flags import boolean, fields
from wharfie.build.instructions import Mount
from wharfie.support.units import parse_size

KINDS = ("bind", "cache", "tmpfs", "secret", "ssh")
SHARING = ("shared", "private", "locked")
_NAMES = {
    "dst": "target", "destination": "target", "target": "target", "src": "source", "source": "source",
    "from": "from", "id": "id", "sharing": "sharing", "mode": "mode", "uid": "uid", "gid": "gid",
    "size": "size", "env": "env",
}  # fmt: skip
_ONLY = {
    "sharing": ("cache",),
    "from": ("bind", "cache"),
    "size": ("tmpfs",),
    "env": ("secret",),
    "uid": ("cache", "secret", "ssh"),
    "gid": ("cache", "secret", "ssh"),
    "mode": ("cache", "secret", "ssh"),
    "id": ("cache", "secret", "ssh"),
}


def parse_mount(text: str) -> Mount:
    """Read one; raises DockerfileError."""
    kind = "bind"
    given: dict[str, str] = {}
    switches: dict[str, bool] = {}
    for key, value, equals in fields(text, "mounts"):
        if key == "type":
            if value.lower() not in KINDS:
                raise DockerfileError(f'unsupported mount type "{value}"')
            kind = value.lower()
        elif key in ("ro", "readonly", "rw", "readwrite", "required"):
            on = boolean(value, key) if equals else True
            if key == "required":
                switches["required"] = on
            else:
                switches["readonly"] = on if key in ("ro", "readonly") else not on
        elif key in _NAMES:
            if not equals:
                raise DockerfileError(f"invalid field '{key}' must be a key=value pair")
            if key == "from" and "$" in value:
                raise DockerfileError("'from' doesn't support variable expansion, define alias stage instead")
            given[_NAMES[key]] = value
        else:
            raise DockerfileError(
                f"unexpected key '{key}' in '{key}={value}'"
                if equals
                else f"invalid field '{key}' must be a key=value pair"
            )
    _check(kind, given, switches)
    return Mount(
        kind,
        target=given.get("target", ""),
        source=given.get("source", ""),
        origin=given.get("from", ""),
        readonly=switches.get("readonly", kind == "bind"),
        id=(kind == "secret" and given.get("source")) or given.get("id", ""),
        sharing=given.get("sharing", "shared"),
        required=switches.get("required", False),
        mode=_number(given["mode"], "mode", 8) if "mode" in given else None,
        uid=_number(given.get("uid", "0"), "uid"),
        gid=_number(given.get("gid", "0"), "gid"),
        size=_size(given.get("size", "")),
        env=given.get("env", ""),
    )


def _check(kind: str, given: dict[str, str], switches: dict[str, bool]) -> None:
    for key, kinds in _ONLY.items():
        if key in given and kind not in kinds:
            raise DockerfileError(f"unexpected key '{key}' for mount type '{kind}'")
    if "required" in switches and kind not in ("secret", "ssh"):
        raise DockerfileError(f"unexpected key 'required' for mount type '{kind}'")
    if given.get("sharing", "shared") not in SHARING:
        raise DockerfileError(f'unsupported sharing value "{given["sharing"]}"')
    if kind in ("bind", "tmpfs", "cache") and not given.get("target"):
        raise DockerfileError(
            'invalid mount target ""' if kind == "bind" else f"{kind} mount requires a target"
        )


def _number(text: str, key: str, base: int = 10) -> int:
    try:
        found = int(text, base)
    except ValueError:
        raise DockerfileError(f"invalid value {text} for {key}") from None
    if not 0 <= found < (1 << 31):
        raise DockerfileError(f"invalid value {text} for {key}")
    return found


def _size(text: str) -> int:
    try:
        return parse_size(text) if text else 0
    except ValueError:
        raise DockerfileError(f"invalid value for size: {text}") from None
