"""What real Docker answers to requests that cannot be met, for ``./check`` to compare with."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from tests.peers import docker, wrongs

PATH = Path(__file__).parent / "recordings" / "wrongs.json"


def main() -> int:
    """Record; how many answers there are."""
    with (
        tempfile.TemporaryDirectory(prefix="peer-") as state,
        docker.dockerd(Path(state), bridge="whpeer0") as host,
    ):
        docker.load_busybox(host)
        answers = wrongs.record(host)
    PATH.write_text(json.dumps(answers, indent=0) + "\n")
    return len(answers)


if __name__ == "__main__":
    main()
