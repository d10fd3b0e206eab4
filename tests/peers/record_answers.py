"""The shapes of real Docker's answers, for ``./check`` to compare ours with."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from tests.peers import answers, docker

PATH = Path(__file__).parent / "recordings" / "answers.json"


def main() -> int:
    """Record; how many answers there are."""
    with (
        tempfile.TemporaryDirectory(prefix="peer-") as state,
        docker.dockerd(Path(state), bridge="whpeer0") as host,
    ):
        docker.load_busybox(host)
        found = answers.Play(host).all()
    PATH.write_text(json.dumps(found, indent=0) + "\n")
    return len(found)


if __name__ == "__main__":
    main()
