"""``python -m bench.crowd``: how long ``_ping`` takes while a crowd of clients is served."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from tests import ours
from tests.conformance.api import test_crowd as crowd


def main() -> None:
    """Print one line."""
    with (
        tempfile.TemporaryDirectory(prefix="wharfie-bench-") as state,
        ours.engine(Path(state) / "e", bridge="whbc") as engine,
    ):
        crowd.prepare(engine)
        before = crowd.resident(engine.pid)
        with crowd.pinged(engine.host.removeprefix("unix://")) as waits:
            asyncio.run(crowd.crowd(engine))
        count, middle, late, longest = waits
        print(
            f"{crowd.FOLLOWERS} logs -f, {crowd.WATCHERS} stats, {crowd.ATTACHED} attached: "
            f"{count:.0f} × _ping, "
            f"median {middle:.1f} ms, 99th {late:.1f} ms, longest {longest:.1f} ms; "
            f"the daemon grew by {(crowd.resident(engine.pid) - before) / 1024:.1f} MiB"
        )


if __name__ == "__main__":
    main()
