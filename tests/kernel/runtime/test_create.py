"""Containers with real namespaces: what they see, and that a failed start leaves nothing."""

from __future__ import annotations

import os
import select
from pathlib import Path
from typing import Any

import pytest

from tests import ours
from tests.kernel.runtime.conftest import Box, leftovers, make_spec
from wharfie.linux.process import pidfd_send_signal, wait_pidfd
from wharfie.runtime.join import Target, exec_process
from wharfie.runtime.launch import LaunchError
from wharfie.runtime.parent import create

MAPS = [{"containerID": 0, "hostID": 100000, "size": 65536}]
USER = {
    "namespaces": ("pid", "network", "mount", "ipc", "uts", "cgroup", "user"),
    "linux": {
        "namespaces": [
            {"type": name} for name in ("pid", "network", "mount", "ipc", "uts", "cgroup", "user")
        ],
        "uidMappings": MAPS,
        "gidMappings": MAPS,
    },
}


def test_the_process_is_alone_in_its_namespaces(box: Box) -> None:
    done = box.run("echo $$; hostname; ls /proc | grep -c '^[0-9]'; ip -o link | wc -l")
    first, name, processes, links = done.output.split()
    assert (first, name, links) == ("1", "box", "1")
    assert int(processes) <= 3


def test_what_it_writes_is_in_the_upper_directory_and_not_in_the_layer(box: Box) -> None:
    assert box.run("echo hi >/made; rm /etc/group").code == 0
    assert (box.upper / "made").read_text() == "hi\n"
    assert (box.root / "etc/group").exists()


def test_the_exit_code_and_a_signal_are_told(box: Box) -> None:
    assert box.run("exit 7").code == 7
    assert box.run("sleep 10 & kill -9 $!; wait $!").code == 137


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["nope"], 127, 'exec: "nope": executable file not found in $PATH'),
        (["/nope"], 127, 'exec: "/nope": stat /nope: no such file or directory'),
        (["/etc/passwd"], 126, 'exec: "/etc/passwd": permission denied'),
        (["/etc"], 126, 'exec: "/etc": is a directory'),
    ],
)
def test_a_program_that_cannot_run_is_told_in_dockers_words(
    box: Box, args: list[str], code: int, message: str
) -> None:
    with pytest.raises(LaunchError) as caught:
        box.start(make_spec(args))
    assert (caught.value.exit_code, caught.value.message) == (code, message)


def test_a_missing_bind_source_fails_before_anything_is_made(box: Box) -> None:
    mount = {"destination": "/x", "type": "bind", "source": "/does/not/exist", "options": ["rbind"]}
    with pytest.raises(LaunchError, match="no such file or directory"):
        box.start(make_spec(["true"], mounts=[mount]))
    assert leftovers(box.id) == []


def test_files_and_directories_are_bound_with_their_options(box: Box, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/file").write_text("content")
    binds = [
        {
            "destination": "/data",
            "type": "bind",
            "source": str(tmp_path / "data"),
            "options": ["rbind", "ro"],
        },
        {
            "destination": "/new/place/file",
            "type": "bind",
            "source": str(tmp_path / "data/file"),
            "options": ["rbind", "rw"],
        },
    ]
    done = box.run(
        "cat /data/file; touch /data/x 2>/dev/null || echo refused; echo -n more >>/new/place/file",
        mounts=binds,
    )
    assert done.output == "contentrefused\n"
    assert (tmp_path / "data/file").read_text() == "contentmore"


def test_a_read_only_root_stays_so(box: Box) -> None:
    done = box.run("touch /x 2>&1; touch /dev/shm/y && echo ok", root={"path": "rootfs", "readonly": True})
    assert "Read-only file system" in done.output
    assert done.output.endswith("ok\n")


def test_masked_and_read_only_paths(box: Box) -> None:
    done = box.run(
        "wc -c </proc/keys; wc -c </proc/timer_list; ls /sys/firmware | wc -l; "
        "echo 1 2>/dev/null >/proc/sys/net/ipv4/ip_forward || echo refused"
    )
    assert done.output == "0\n0\n0\nrefused\n"


def test_a_user_by_name_gets_its_groups_and_home(box: Box) -> None:
    done = box.run("id; echo $HOME; umask", process={"user": {"username": "bob", "additionalNames": ["42"]}})
    assert done.output == "uid=1000(bob) gid=1000(bob) groups=10(wheel),42,1000(bob)\n/home/bob\n0022\n"


def test_capabilities_end_up_in_the_five_sets(box: Box) -> None:
    sets = {
        "bounding": ["CAP_NET_RAW", "CAP_CHOWN"],
        "permitted": ["CAP_NET_RAW"],
        "effective": ["CAP_NET_RAW"],
        "inheritable": ["CAP_NET_RAW"],
        "ambient": ["CAP_NET_RAW"],
    }
    done = box.run(
        "grep -e Cap -e NoNewPrivs /proc/self/status",
        process={"user": {"uid": 5, "gid": 5}, "capabilities": sets, "noNewPrivileges": True},
    )
    found = dict(line.split(":\t") for line in done.output.splitlines())
    assert found == {
        "CapInh": "0000000000002000",
        "CapPrm": "0000000000002000",
        "CapEff": "0000000000002000",
        "CapBnd": "0000000000002001",
        "CapAmb": "0000000000002000",
        "NoNewPrivs": "1",
    }


def test_a_limit_above_ours_is_refused_by_name(box: Box) -> None:
    limits = [{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 64}]
    assert box.run("ulimit -n", process={"rlimits": limits}).output == "64\n"


def test_sysctls_of_its_own_namespaces_are_set_and_others_refused(box: Box) -> None:
    done = box.run("cat /proc/sys/net/ipv4/ip_forward", linux={"sysctl": {"net.ipv4.ip_forward": "1"}})
    assert done.output == "1\n"
    with pytest.raises(LaunchError, match="not in a separate kernel namespace"):
        box.start(make_spec(["true"], linux={"sysctl": {"kernel.panic": "1"}}))


def test_a_missing_working_directory_is_made(box: Box) -> None:
    assert box.run("pwd", process={"cwd": "/a/b"}).output == "/a/b\n"


def test_a_terminal_is_the_containers_own(box: Box) -> None:
    spec = make_spec(["sh", "-c", "tty; stty size; echo x >/dev/console"], process={"terminal": True})
    container = box.start(spec, console_size=(33, 99))
    assert container.console is not None
    output = _drain(container.console)
    assert wait_pidfd(container.pidfd) == 0
    container.destroy()
    container.close()
    assert output == "/dev/pts/0\r\n33 99\r\nx\r\n"


def _drain(fd: int) -> str:
    found = b""
    while True:
        try:
            part = os.read(fd, 4096)
        except OSError:  # EIO: the last writer is gone
            return found.decode()
        found += part


def test_a_user_namespace_sees_the_layers_as_its_own_and_leaves_them_so(box: Box) -> None:
    done = box.run(
        "id -u; stat -c %u:%g /bin/busybox; touch /mine; stat -c %u /mine; cat /proc/self/uid_map", **USER
    )
    assert done.output.split() == ["0", "0:0", "0", "0", "100000", "65536"]
    assert (box.upper / "mine").stat().st_uid == 0, "on disk the ids are the image's"


def test_created_and_started_later(box: Box) -> None:
    container = create(box.launch(make_spec(["sleep", "100"])), start=False)
    assert Path(f"/proc/{container.pid}/comm").read_text() != "sleep\n"
    container.start()
    comm = Path(f"/proc/{container.pid}/comm")
    ours.until(lambda: comm.read_text() == "sleep\n", "it is another program")  # named a moment after exec
    _end(container)


def _end(container: Any) -> None:
    pidfd_send_signal(container.pidfd, 9)
    assert wait_pidfd(container.pidfd) == 137
    container.destroy()
    container.close()


def test_a_further_process_joins_everything(box: Box) -> None:
    container = box.start(make_spec(["sleep", "100"]))
    target = Target(
        id=box.id, pid=container.pid, pidfd=container.pidfd, cgroup=box.cgroup, spec=container.spec
    )
    reader, writer = os.pipe()
    null = os.open("/dev/null", os.O_RDWR)
    script = "for kind in pid mnt net ipc uts cgroup; do readlink /proc/self/ns/$kind; done"
    process = {**container.spec["process"], "args": ["sh", "-c", script]}
    made = exec_process(target, process, stdio=(null, writer, writer))
    os.close(writer)
    os.close(null)
    with os.fdopen(reader) as stream:
        lines = stream.read().split()
    assert wait_pidfd(made.pidfd) == 0
    made.close()
    kinds = ("pid", "mnt", "net", "ipc", "uts", "cgroup")
    assert lines[:6] == [os.readlink(f"/proc/{container.pid}/ns/{kind}") for kind in kinds]
    with pytest.raises(LaunchError) as caught:
        exec_process(target, {**process, "args": ["nope"]})
    assert caught.value.exit_code == 127
    _end(container)


def test_hooks_run_with_the_state_on_their_input(box: Box, tmp_path: Path) -> None:
    def hook(name: str) -> list[dict[str, Any]]:
        script = f"cat >{tmp_path}/{name}.json"
        return [{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"]}]

    names = ("prestart", "createRuntime", "poststart", "poststop")
    box.run(["true"], hooks={name: hook(name) for name in names})
    for name in names:
        assert f'"id":"{box.id}"' in (tmp_path / f"{name}.json").read_text()


def test_a_failing_hook_takes_the_container_back(box: Box) -> None:
    failing = [{"path": "/bin/sh", "args": ["sh", "-c", "echo reason; exit 3"]}]
    with pytest.raises(LaunchError, match=r"createRuntime hook #0 .*exit status 3: reason"):
        box.start(make_spec(["true"], hooks={"createRuntime": failing}))


def test_the_death_of_the_process_during_its_start_is_an_error(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "wharfie.runtime.rootfs.enter_root", lambda *_: os.kill(os.getpid(), 9) or os._exit(9)
    )
    with pytest.raises(LaunchError, match="died before"):
        box.start(make_spec(["true"]))


def test_the_pidfd_reports_the_end(box: Box) -> None:
    container = box.start(make_spec(["true"]))
    poller = select.poll()
    poller.register(container.pidfd, select.POLLIN)
    assert poller.poll(10000)
    assert wait_pidfd(container.pidfd) == 0
    container.destroy()
    container.close()
