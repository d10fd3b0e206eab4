"""What a container sees of itself."""

# ruff: noqa: E501

from __future__ import annotations

from tests.peers.step import exact

INSIDE = (
    exact("run --rm busybox sh -c", "echo $$; ps -o pid,args | head -2"),
    exact("run --rm busybox id"),
    exact("run --rm -u nobody busybox id"),
    exact("run --rm busybox grep -E", "^Cap|^Seccomp:|^NoNewPrivs", "/proc/self/status"),
    exact("run --rm --cap-drop ALL busybox grep -E", "^Cap(Eff|Bnd|Prm)", "/proc/self/status"),
    exact("run --rm --cap-drop ALL --cap-add NET_ADMIN busybox grep -E", "^Cap(Eff|Bnd|Prm)", "/proc/self/status"),
    exact("run --rm -u nobody busybox grep -E", "^Cap(Eff|Bnd|Prm)", "/proc/self/status"),
    exact("run --rm --security-opt no-new-privileges busybox grep NoNewPrivs /proc/self/status"),
    exact("run --rm --security-opt seccomp=unconfined busybox grep Seccomp: /proc/self/status"),
    exact("run --rm busybox ls -1 /dev"),
    exact("run --rm busybox sh -c", "stat -c '%n %a %t %T' /dev/null /dev/zero /dev/tty /dev/random; ls -l /dev | sed 's/.* //' | sort | tail -8"),
    exact("run --rm busybox sh -c", "awk '{print $2,$3}' /proc/mounts | grep -v -e etc -e cgroup -e interrupts | sort -u"),
    exact("run --rm busybox sh -c", "echo x > /proc/sys/kernel/domainname; echo $?"),
    exact("run --rm busybox sh -c", "cat /proc/kcore | head -c1 | wc -c; ls /sys/firmware /proc/acpi /proc/scsi | cat"),
    exact("run --rm busybox sh -c", "mount -t tmpfs x /mnt; echo $?"),
    exact("run --rm --hostname h1 busybox sh -c", "hostname; cat /etc/hostname; tail -1 /etc/hosts | wc -l"),
    exact("run --rm --read-only busybox sh -c", "echo x > /f; echo $?"),
    exact("run --rm --read-only --tmpfs /t busybox sh -c", "echo x > /t/f; cat /t/f; awk '$2==\"/t\"{print $3,$4}' /proc/mounts"),
    exact("run --rm --shm-size 8m busybox sh -c", "df -k /dev/shm | tail -1 | awk '{print $2}'"),
    exact("run --rm --ulimit nofile=100:200 busybox sh -c", "ulimit -Sn; ulimit -Hn"),
    exact("run --rm --sysctl net.ipv4.ip_default_ttl=77 busybox cat /proc/sys/net/ipv4/ip_default_ttl"),
    exact("run --rm -w /made/here busybox pwd"),
    exact("run --rm --entrypoint echo busybox a b"),
    exact("run --rm --entrypoint", "", "busybox", "echo", "c"),
    exact("run --rm -e A=b -e PATH=/bin busybox env"),
    exact("run --rm --stop-signal 9 busybox true"),
    exact("run --rm --privileged busybox sh -c", "grep Seccomp: /proc/self/status; test -w /proc/sys/kernel/domainname && echo writable"),
    exact("run --rm --init busybox sh -c", "cat /proc/1/comm; test $$ -gt 1; echo $?"),
    exact("run --rm --oom-score-adj 77 busybox cat /proc/self/oom_score_adj"),
    exact("run --rm --pids-limit 33 busybox true"),
    exact("run --rm -i busybox cat", stdin="through\n"),
    exact("run --rm -i busybox wc -c", stdin="x" * 100000),
    exact("run --rm --group-add 77 busybox id"),
    exact("run --rm -u 5 busybox id"),
    exact("run --rm -u 5:6 busybox id"),
    exact("run --rm --network none busybox ls /sys/class/net"),
    exact("run --rm -v vol1:/v busybox sh -c", "echo kept > /v/f"),
    exact("run --rm -v vol1:/v:ro busybox sh -c", "cat /v/f; echo x > /v/f; echo $?"),
    exact("volume ls --format {{.Name}}"),
    exact("volume rm vol1"),
    exact("volume rm vol1"),
    exact("run --rm busybox sh -c", "kill -9 $$"),
    exact("run --rm busybox sh -c", "exit 42"),
)  # fmt: skip
