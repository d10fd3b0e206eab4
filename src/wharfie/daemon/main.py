"""``wharfie daemon``: reads the configuration, serves until a signal or a request ends it.

SIGTERM and SIGINT end the daemon; containers live on, and the next daemon finds them. SIGHUP has it read
``daemon.json`` again (``daemon/reloading.py``).
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence

import wharfie
from wharfie.daemon import journal, options
from wharfie.daemon.config import Config, load
from wharfie.errors import WharfieError
from wharfie.support import faults

_log = logging.getLogger(__name__)


def main(words: Sequence[str] | None = None) -> int:
    """Run the daemon with these options; the exit code."""
    words = sys.argv[1:] if words is None else words
    try:
        flags = options.parse(words)
        if flags.get("help"):
            sys.stdout.write(options.usage())
            return 0
        if flags.get("version"):
            sys.stdout.write(f"wharfie version {wharfie.__version__}\n")
            return 0
        config = load(words)
    except WharfieError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if flags.get("validate"):
        sys.stdout.write("configuration OK\n")
        return 0
    if os.geteuid() != 0:
        sys.stderr.write("wharfie daemon needs root: start it as root\n")
        return 1
    try:
        faults.arm(os.environ.get(faults.VARIABLE, ""))
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    journal.set_up(config.log_level)
    # a client that goes away is an error of one write, whatever this process was started with
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        asyncio.run(_run(config, words))
    except WharfieError as error:
        _log.critical("the daemon cannot run: %s", error)
        return 1
    return 0


async def _run(config: Config, words: Sequence[str]) -> None:
    from wharfie.daemon.wiring import serve

    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    # until it serves there is nothing to change
    loop.add_signal_handler(signal.SIGHUP, lambda: None)
    daemon = await serve(config, ended)
    loop.add_signal_handler(signal.SIGHUP, daemon.reload, words)
    try:
        # what is there now stays: the collector need not look at it again and again
        gc.collect()
        gc.freeze()
        _tell_systemd("READY=1")
        await daemon.ended.wait()
        _log.info("the daemon ends; containers go on")
        _tell_systemd("STOPPING=1")
    finally:
        await daemon.close()


def _tell_systemd(state: str) -> None:
    """sd_notify(3), where systemd asks for it."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            sock.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)
        except OSError as error:
            _log.warning("systemd cannot be told %s: %s", state, error)


if __name__ == "__main__":
    sys.exit(main())
