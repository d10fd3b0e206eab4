"""``.venv/bin/python -m bench``: measure, print the table, and put table and plot into the README.

    python -m bench [--rounds N] [--quick] [--write]

``--quick`` leaves out the long ones; ``--write`` changes README.md and docs/bench.svg.
"""

from __future__ import annotations

import argparse
import compileall
import platform
import subprocess
import tempfile
from pathlib import Path

from bench import measure, network, report
from bench.engines import engines


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    rows: list[report.Row] = []
    subprocess.run([str(report.ROOT / "bench" / "peers.sh")], check=True)
    # as an installation is: a spawner that had to compile its modules is larger, and so are its monitors
    compileall.compile_dir(report.ROOT / "src", quiet=1)
    with tempfile.TemporaryDirectory(prefix="wharfie-bench-") as state, engines(Path(state)) as all_engines:
        daemons = {name: engine for name, engine in all_engines.items() if name != "docker cli on wharfie"}
        rows.append(report.Row("idle daemons", "MiB", measure.idle(daemons), target=None))
        rows.append(
            report.Row(
                "`run --rm busybox true`, bridge", "ms", measure.start(all_engines, options.rounds), 0.15
            )
        )
        rows.append(report.Row("the same, `--network none`", "ms",
                               measure.start_without_network(all_engines, options.rounds), 0.15))  # fmt: skip
        rows.append(
            report.Row("`run -d … sleep`", "ms", measure.start_detached(all_engines, options.rounds), 0.15)
        )
        rows.append(report.Row("`exec C true`", "ms", measure.execute(all_engines, options.rounds), 0.7))
        starts, removals = measure.parallel(all_engines)
        rows.append(report.Row("40 × `run -d`, four at a time", "s", starts, 0.2))
        rows.append(report.Row("`rm -f` of 20 running", "s", removals, 0.25))
        rows.append(
            report.Row("`ps` with 60 containers", "ms", measure.listing(all_engines, options.rounds), 1.0)
        )
        rows.append(report.Row("memory per container", "MiB", measure.memory(daemons), None))
        if not options.quick:
            rows.append(
                report.Row("200 MB of log lines, attached", "s", measure.log_attached(all_engines), 0.25)
            )
            rows.append(report.Row("200 MB of log lines, detached, then `logs`", "s",
                                   measure.log_detached(all_engines), 0.15))  # fmt: skip
            rows.append(report.Row("204 MB through `run -i … cat`", "s", measure.pipe(all_engines), 0.5))
        # the docker command line makes no other stream than ours
        streams = {name: engine for name, engine in daemons.items() if name != "podman"}
        rows += network.throughput(streams)
    machine = f"Linux {platform.release().split('-')[0]}, Python {platform.python_version()}"
    print(report.table(rows))
    if options.write:
        report.write(rows, machine)


if __name__ == "__main__":
    main()
