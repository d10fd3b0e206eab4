"""nftables through libnftables, in this process: libnftables(3).

A text of commands is applied as one transaction: all of it, or nothing. The library talks to the kernel in
the network namespace of the calling thread and blocks meanwhile, so one thread owns it (the daemon's main
thread, at set-up and repair); no container's start waits for it. It is loaded at the first use only.
"""

from __future__ import annotations

import _ctypes

from wharfie.linux.libc import Int, Pointer, String, UInt
from wharfie.support import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LIBRARY = "libnftables.so.1"
_OUTPUT_JSON = 1 << 4


class NftError(OSError):
    """libnftables refused the commands; the text is its own first line of complaint."""


class NftMissing(NftError):
    """libnftables is not on this machine."""


class _IntFunction(_ctypes.CFuncPtr):
    _flags_ = _ctypes.FUNCFLAG_CDECL
    _restype_ = Int


class _PointerFunction(_ctypes.CFuncPtr):
    _flags_ = _ctypes.FUNCFLAG_CDECL
    _restype_ = Pointer


class _StringFunction(_ctypes.CFuncPtr):
    _flags_ = _ctypes.FUNCFLAG_CDECL
    _restype_ = String


class _Library:
    """The functions of libnftables, declared once."""

    def __init__(self) -> None:
        try:
            handle = _ctypes.dlopen(_LIBRARY, 0)
        except OSError as error:
            raise NftMissing(
                f"{_LIBRARY} cannot be loaded ({error}); install libnftables (the nftables package) or start "
                "the daemon with --iptables=false"
            ) from None

        def declare(kind: Any, name: str, *arguments: Any) -> Any:
            made = kind(_ctypes.dlsym(handle, name))
            made.argtypes = arguments
            return made

        self.new = declare(_PointerFunction, "nft_ctx_new", UInt)
        self.free = declare(_IntFunction, "nft_ctx_free", Pointer)
        self.set_flags = declare(_IntFunction, "nft_ctx_output_set_flags", Pointer, UInt)
        self.buffer_output = declare(_IntFunction, "nft_ctx_buffer_output", Pointer)
        self.buffer_error = declare(_IntFunction, "nft_ctx_buffer_error", Pointer)
        self.output = declare(_StringFunction, "nft_ctx_get_output_buffer", Pointer)
        self.error = declare(_StringFunction, "nft_ctx_get_error_buffer", Pointer)
        self.run = declare(_IntFunction, "nft_run_cmd_from_buffer", Pointer, String)


_loaded: list[_Library] = []


def _library() -> _Library:
    if not _loaded:
        _loaded.append(_Library())
    return _loaded[0]


def run(commands: str) -> str:
    """Apply ``commands`` as one transaction; what they print. Raises NftError."""
    return _run(commands, 0)


def query(command: str) -> list[dict[str, Any]]:
    """The objects that a ``list …`` command gives, each a dict of one key (libnftables-json(5)).

    Raises NftError.
    """
    text = _run(command, _OUTPUT_JSON)
    if not text.strip():
        return []
    found: list[dict[str, Any]] = json.loads(text)["nftables"]
    return [item for item in found if "metainfo" not in item]


def _run(commands: str, flags: int) -> str:
    library = _library()
    context = library.new(0)
    if not context:
        raise NftError("libnftables has no memory for a context")
    try:
        library.set_flags(context, flags)
        library.buffer_output(context)
        library.buffer_error(context)
        status = library.run(context, commands.encode())
        if status != 0:
            complaint = (library.error(context) or b"").decode(errors="replace").strip()
            first = complaint.splitlines()[0] if complaint else f"status {status}"
            raise NftError(f"nftables refused: {first}")
        return (library.output(context) or b"").decode(errors="replace")
    finally:
        library.free(context)
