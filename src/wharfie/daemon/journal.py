"""The daemon's own log: one line per event on standard error, in dockerd's form.

``time="2024-01-02T03:04:05.678901234Z" level=info msg="API listens on /run/wharfie/wharfie.sock"``
"""

from __future__ import annotations

import json
import logging

from wharfie.support.units import format_time

_LEVELS = {"WARNING": "warning", "CRITICAL": "fatal"}


class _Line(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """One line, the traceback folded into it."""
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        level = _LEVELS.get(record.levelname, record.levelname.lower())
        moment = format_time(int(record.created * 1e9))
        return f'time="{moment}" level={level} msg={json.dumps(text, ensure_ascii=False)}'


def set_up(level: int) -> None:
    """Send the log to standard error from now on."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Line())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("asyncio").setLevel(max(level, logging.WARNING))
