"""Commands that find no daemon on the default socket start one, and one only."""

from __future__ import annotations

import subprocess
import sys

from tests import ours

# The default socket, roots and bridge are those of the machine: so in namespaces of its own, where they are
# nobody's. The daemon's processes are those in this mount namespace.
SCRIPT = r"""
set -e
mount -t tmpfs none /run
mount -t tmpfs none /var/lib
for number in 1 2 3 4; do "$WHARFIE" ps -aq >/run/out.$number 2>/run/err.$number & pids="$pids $!"; done
for pid in $pids; do wait $pid; done
own=$(readlink /proc/self/ns/mnt)
count() {
    found=0
    for process in /proc/[0-9]*; do
        [ "$(readlink $process/ns/mnt)" = "$own" ] || continue
        if tr '\0' ' ' <$process/cmdline | grep -q "^[^ ]*python[^ ]* .*$1"; then
            found=$((found + 1))
        fi
    done 2>/dev/null
    echo $found
}
# who has been told to end, or is not needed, does so in its own time
settled() {
    for attempt in $(seq 200); do
        [ "$(count $1)" = $2 ] && return
        sleep 0.1
    done
}
PYTHONPATH="$SOURCE" "$PYTHON" -c 'import wharfie; wharfie.Client().system.ping()'
settled wharfie.daemon.main 1
echo daemons $(count wharfie.daemon.main)
echo told $(cat /run/err.* | grep -c .)
"$WHARFIE" system stop
settled wharfie 0
echo left $(count wharfie)
echo socket $(ls /run/wharfie | grep -c sock || true)
PYTHONPATH="$SOURCE" "$PYTHON" -c '
import wharfie
try:
    wharfie.Client(start=False).system.ping()
except wharfie.DaemonUnreachable:
    print("not there")
with wharfie.Client() as client:
    print("started", client.system.ping())'
"$WHARFIE" system stop
settled wharfie 0
echo left $(count wharfie)
"""


def test_four_commands_at_once_end_with_one_daemon() -> None:
    done = subprocess.run(
        ["unshare", "--mount", "--net", "--propagation", "private", "sh", "-c", SCRIPT],
        env={
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "WHARFIE": ours.WHARFIE,
            "PYTHON": sys.executable,
            "SOURCE": f"{ours.ROOT}/src",
        },
        capture_output=True,
        text=True,
        timeout=115,
    )
    assert done.returncode == 0, done.stderr
    # who started it says so, once
    assert done.stdout.split("\n")[:4] == ["daemons 1", "told 1", "left 0", "socket 0"], done.stdout
    # and so does a program
    assert done.stdout.split("\n")[4:7] == ["not there", "started 1.51", "left 0"], done.stdout
