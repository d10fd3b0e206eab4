"""JSON on the C scanner and encoder alone.

``import json`` costs 10 ms of a start, nearly all of it for ``re``; the C halves in ``_json`` do the whole
work. The public module is the fallback where an interpreter has no ``_json``.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

try:
    import _json

    _scanstring = _json.scanstring
    _quote = _json.encode_basestring_ascii

    class _Scanning:
        """The attributes that the C scanner reads from its context object."""

        strict = True
        object_hook = None
        object_pairs_hook = None
        parse_float = float
        parse_int = int

        def __init__(self) -> None:
            self.memo: dict[str, str] = {}

        @staticmethod
        def parse_constant(name: str) -> float:
            raise ValueError(f"{name} is not JSON")

    _scan = _json.make_scanner(_Scanning())  # type: ignore[arg-type]

    def _refuse(value: object) -> object:
        raise TypeError(f"{type(value).__name__} cannot be written as JSON")

    def _float(value: float) -> str:
        if value != value or value in (float("inf"), float("-inf")):
            raise ValueError(f"{value} cannot be written as JSON")
        return float.__repr__(value)

    _encode = _json.make_encoder({}, _refuse, _quote, None, ":", ",", False, False, False)

    def loads(text: str | bytes) -> Any:
        """Parse one JSON document.

        Raises:
            ValueError: the text is not JSON, or something follows the document.
        """
        if not isinstance(text, str):
            text = bytes(text).decode("utf-8")
        text = text.strip(" \t\r\n")
        try:
            value, end = _scan(text, 0)
        except StopIteration as stop:
            raise ValueError(f"not JSON at character {stop.value}") from None
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
        except SystemError:
            # the scanner looks its own exception up in json.decoder, which is not loaded here
            raise ValueError("not JSON") from None
        if end != len(text):
            raise ValueError(f"not JSON: something follows the document at character {end}")
        return value

    def dumps(value: Any) -> str:
        """Write ``value`` as compact ASCII JSON; raises TypeError or ValueError for what JSON cannot say."""
        if isinstance(value, float):
            return _float(value)
        return "".join(_encode(value, 0))

except ImportError:
    import json as _public

    def loads(text: str | bytes) -> Any:
        """Parse one JSON document; raises ValueError."""
        return _public.loads(text)

    def dumps(value: Any) -> str:
        """Write ``value`` as compact ASCII JSON; raises TypeError or ValueError."""
        return _public.dumps(value, separators=(",", ":"), allow_nan=False)
