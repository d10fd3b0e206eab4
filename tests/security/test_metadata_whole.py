"""What an image says about itself stays data (SECURITY 5), and whom it names stays inside (SECURITY 6)."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests import ours
from tests.security import attacks
from tests.security.attacks import busybox_with, link, member

LABELS = (
    "wharfie.privileged", "wharfie.annotations", "io.wharfie.mounts", "com.docker.compose.project",
    "com.docker.volume.anonymous", "run.oci.hooks.stdout", "io.kubernetes.cri-o.Devices",
    "io.kubernetes.cri-o.userns-mode", "org.criu.config", "module.wasm.image/variant",
    "run.oci.keep_original_groups",
)  # fmt: skip
ENVIRONMENT = (
    "LD_PRELOAD=/evil.so", "LD_LIBRARY_PATH=/evil", "PYTHONPATH=/evil", "PYTHONSTARTUP=/evil.py",
    "WHARFIE_HOST=tcp://evil", "DOCKER_HOST=tcp://evil", "_LIBCONTAINER_INITPIPE=3", "NOTIFY_SOCKET=/evil",
    "LISTEN_FDS=9", "GCONV_PATH=/evil", "PYTHONINSPECT=1", "TMPDIR=/evil",
)  # fmt: skip


def host_config(engine: ours.Engine, image: str) -> dict[str, Any]:
    """What a container of this image is granted."""
    done = engine.cli("create", image, "true")
    assert done.returncode == 0, done.stderr
    try:
        found = json.loads(engine.cli("inspect", done.stdout.strip()).stdout)[0]
        return {"host": found["HostConfig"], "mounts": [item["Destination"] for item in found["Mounts"]]}
    finally:
        engine.cli("rm", "-f", done.stdout.strip())


def test_labels_and_environment_of_an_image_grant_nothing(engine: ours.Engine) -> None:
    plain = attacks.import_image(engine, "plain", busybox_with())
    changes = [f'LABEL {name}="true"' for name in LABELS] + [f"ENV {item}" for item in ENVIRONMENT]
    evil = attacks.import_image(engine, "labelled", busybox_with(), *changes)
    assert host_config(engine, evil) == host_config(engine, plain)
    script = "cat /proc/self/status; ls /dev; id; mount"
    outputs = []
    for image in (plain, evil):
        done = engine.cli("run", "--rm", "--hostname", "same", "-e", "LD_PRELOAD=", image, "sh", "-c", script)
        assert done.returncode == 0, done.stderr
        wanted = ("Cap", "Seccomp:", "NoNewPrivs", "Uid", "Gid", "Groups")
        outputs.append([line for line in done.stdout.splitlines() if line.startswith((*wanted, "uid="))])
    assert outputs[0] == outputs[1]
    assert outputs[0]


def test_no_process_of_ours_has_the_images_environment(engine: ours.Engine) -> None:
    changes = [f"ENV {item}" for item in ENVIRONMENT]
    image = attacks.import_image(engine, "environment", busybox_with(), *changes)
    started = engine.cli("run", "-d", "--name", "environment", image, "sleep", "1000")
    assert started.returncode == 0, started.stderr
    try:
        pid = int(attacks.inspect(engine, "environment", "{{.State.Pid}}"))
        assert b"LD_PRELOAD=/evil.so" in Path(f"/proc/{pid}/environ").read_bytes()
        monitor = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        assert b"evil" not in Path(f"/proc/{monitor}/environ").read_bytes()
    finally:
        engine.cli("rm", "-f", "environment")


@pytest.mark.parametrize(
    "volume", ["/proc", "/proc/sys", "/", "/../../etc", "relative/../../etc", "/dev/../proc"]
)
def test_volumes_of_an_image_do_not_cover_what_protects(engine: ours.Engine, volume: str) -> None:
    done = engine.cli("import", "--change", f'VOLUME ["{volume}"]', "--change", "ENV PATH=/bin", "-",
                      "voluminous",                      stdin=busybox_with())  # fmt: skip
    if done.returncode:
        return  # refused at once
    ran = engine.cli("run", "--rm", "voluminous", "sh", "-c", "cat /proc/self/stat; mount | grep ' /etc '")
    if ran.returncode == 0:
        assert "etc" in volume
        assert ran.stdout.split()[1] == "(cat)", "this is not the kernel's /proc"


def test_ports_of_an_image_are_not_published(engine: ours.Engine) -> None:
    image = attacks.import_image(engine, "exposed", busybox_with(), "EXPOSE 80", "EXPOSE 443/tcp")
    before = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    assert engine.cli("run", "-d", "--name", "exposed", image, "sleep", "1000").returncode == 0
    try:
        assert engine.cli("port", "exposed").stdout == ""
        after = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
        listening = [
            {
                line.split()[1]
                for line in text.splitlines()
                if len(line.split()) > 3 and line.split()[3] == "0A"
            }
            for text in (before, after)
        ]
        assert not {
            address for address in listening[1] - listening[0] if address.endswith((":0050", ":01BB"))
        }
    finally:
        engine.cli("rm", "-f", "exposed")


USERS = ("4294967296", "4294967295", "2147483648", "18446744073709551616", "-1", "-0", "0x0", "1e3", " 0",
         "+0", "1000:4294967296", "1000:-1", "65536:2147483648", "٠")  # fmt: skip


@pytest.mark.parametrize("user", USERS)
def test_a_user_that_is_no_id_is_nobody_and_never_root(engine: ours.Engine, user: str) -> None:
    ran = engine.cli("run", "--rm", f"--user={user}", "busybox", "id", "-u")
    assert ran.returncode == 125, ran
    assert ran.stdout == ""
    image = attacks.import_image(engine, "evil-user", busybox_with(), f"USER {user.strip() or 'x'}")
    if user.strip() == user:
        ran = engine.cli("run", "--rm", image, "id", "-u")
        assert ran.returncode == 125, ran
    assert engine.cli("run", "-d", "--name", "users", "busybox", "sleep", "1000").returncode == 0
    try:
        done = engine.cli("exec", f"--user={user}", "users", "id", "-u")
        assert done.returncode != 0, done
        assert not done.stdout.strip().isdigit()
    finally:
        engine.cli("rm", "-f", "users")


DATABASES = {
    "fifo": member("etc/passwd", tarfile.FIFOTYPE),
    "zero": link("etc/passwd", "/dev/zero"),
    "host": link("etc/passwd", "../../../../../../etc/passwd"),
    "descriptor": link("etc/passwd", "/proc/self/fd/3"),
    "root of the host": link("etc/passwd", "/proc/1/root/etc/passwd"),
    "overflow": member("etc/passwd", content=b"daemon:x:4294967296:0::/:/bin/sh\n"),
    "negative": member("etc/passwd", content=b"daemon:x:-1:-1::/:/bin/sh\n"),
    "short": member("etc/passwd", content=b"daemon:x\n"),
    "huge": member("etc/passwd", content=b"#" * (16 << 20) + b"\ndaemon:x:0:0::/:/bin/sh\n"),
    "a name that is a number": member("etc/passwd", content=b"daemon\0:x:0:0::/:/bin/sh\n"),
    "directory": member("etc/passwd", tarfile.DIRTYPE),
}


@pytest.mark.parametrize("name", DATABASES)
def test_a_database_that_lies_makes_nobody_root_and_holds_nobody_up(engine: ours.Engine, name: str) -> None:
    """The user asked for, "daemon", is one of the host's: its id must not come from there."""
    image = attacks.import_image(engine, "evil-passwd", busybox_with(DATABASES[name]))
    ran = engine.cli("run", "--rm", "-u", "daemon", image, "id", "-u", timeout=60)
    assert ran.returncode == 125, ran
    assert ran.stdout == ""
    # without a name nothing needs the file, and a start is not held up by it either
    started = engine.cli("run", "-d", "--name", "lied", "-u", "7", image, "sleep", "1000", timeout=60)
    if started.returncode == 0:
        assert engine.cli("exec", "lied", "id", "-u").stdout == "7\n"
        done = engine.cli("exec", "-u", "daemon", "lied", "id", "-u", timeout=60)
        assert done.returncode != 0
        assert not done.stdout.strip().isdigit()
    engine.cli("rm", "-f", "lied")


def test_ids_groups_and_capabilities_are_those_that_were_asked_for(engine: ours.Engine) -> None:
    databases = (
        member("etc/passwd", content=b"bob:x:7:8::/home/bob:/bin/sh\n0:x:9:9::/:/bin/sh\n"),
        member("etc/group", content=b"eight:x:8:\nmore:x:9:bob\nevil:x:4294967296:bob\nroot:x:0:\n"),
    )
    image = attacks.import_image(engine, "honest", busybox_with(*databases))
    show = "grep -e Uid -e Gid -e Groups -e CapInh -e CapPrm -e CapEff -e CapAmb -e CapBnd /proc/self/status"

    def shown(*words: str) -> dict[str, list[str]]:
        done = engine.cli(*words, "sh", "-c", show)
        assert done.returncode == 0, done.stderr
        return {line.split(":")[0]: line.split(":")[1].split() for line in done.stdout.splitlines()}

    nothing, default = ["0000000000000000"], ["00000000a80425fb"]
    bob = shown("run", "--rm", "-u", "bob", image)
    assert bob["Uid"] == ["7"] * 4
    assert bob["Gid"] == ["8"] * 4
    assert sorted(bob["Groups"]) == ["8", "9"]
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert bob[name] == nothing, name
    assert bob["CapBnd"] == default
    root = shown("run", "--rm", image)
    # "0" is an id, whoever is called so in the image
    assert root["Uid"] == ["0"] * 4
    assert root["CapInh"] == root["CapAmb"] == nothing
    assert root["CapEff"] == root["CapPrm"] == root["CapBnd"] == default
    assert engine.cli("run", "-d", "--name", "honest", image, "sleep", "1000").returncode == 0
    try:
        for words, uid in (((), "0"), (("-u", "bob"), "7"), (("-u", "0"), "0"), (("-u", "12:34"), "12")):
            found = shown("exec", *words, "honest")
            assert found["Uid"] == [uid] * 4, words
            assert found["CapInh"] == found["CapAmb"] == nothing
            assert found["CapEff"] == (default if uid == "0" else nothing)
            assert found["CapBnd"] == default
        assert shown("exec", "-u", "12:34", "honest")["Groups"] == ["34"]
        privileged = shown("exec", "--privileged", "honest")["CapBnd"][0]
        own = next(
            line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "CapBnd" in line
        )
        assert int(privileged, 16) & ~int(own, 16) == 0
    finally:
        engine.cli("rm", "-f", "honest")
