"""Images made from the distribution's own packages, for where no registry can be reached.

``busybox``: the static binary, with a link for each applet. ``debian[:suite]``: debootstrap in namespaces of
its own, which chooses its mirror itself. The tree is made in ``tmp`` and becomes a layer like any other;
nothing is left behind by a failure, and what a kill leaves is swept at the next start.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import stat
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from wharfie.errors import InvalidArgument, NotSupported
from wharfie.images import config as configs
from wharfie.images import mirrors, pack, programs, reference
from wharfie.images.image import Image
from wharfie.images.pipe import Produced
from wharfie.images.platform import Platform
from wharfie.support.files import remove_tree
from wharfie.support.tasks import spawn
from wharfie.support.units import format_time

if TYPE_CHECKING:
    from wharfie.images.store import ImageStore

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SUITE = re.compile(r"[a-z][a-z0-9-]{0,30}\Z")
_PASSWD = """root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
bin:x:2:2:bin:/bin:/bin/false
sys:x:3:3:sys:/dev:/bin/false
sync:x:4:100:sync:/bin:/bin/sync
mail:x:8:8:mail:/var/spool/mail:/bin/false
www-data:x:33:33:www-data:/var/www:/bin/false
operator:x:37:37:Operator:/var:/bin/false
nobody:x:65534:65534:nobody:/home:/bin/false
"""
_GROUP = """root:x:0:
daemon:x:1:
bin:x:2:
sys:x:3:
adm:x:4:
tty:x:5:
disk:x:6:
mail:x:8:
www-data:x:33:
audio:x:29:
users:x:100:
nogroup:x:65534:
"""

Say = Callable[[str], None]
Progress = Callable[[dict[str, object]], None]
# what debootstrap does with one package after the other: one line that changes, not three hundred
_STAGES = {
    "Retrieving": "Retrieving packages",
    "Validating": "Retrieving packages",
    "Extracting": "Extracting packages",
    "Unpacking": "Installing packages",
    "Configuring": "Installing packages",
}


async def bootstrap(store: ImageStore, name: str, *, suite: str | None, progress: Progress) -> Image:
    """Make ``busybox`` or ``debian``; see :meth:`ImageStore.bootstrap`."""
    wanted = reference.parse(name)
    family = wanted.path.removeprefix("library/")

    def say(text: str) -> None:
        progress({"status": text})

    if wanted.digest or wanted.domain != reference.DEFAULT_DOMAIN or family not in ("busybox", "debian"):
        raise InvalidArgument(
            f'"{name}" cannot be made from packages; the images that can are busybox and debian[:suite]'
        )
    if os.geteuid() != 0:
        raise NotSupported("making an image from packages needs root")
    if family == "busybox":
        return await _made(store, ["latest"], "busybox", "sh", lambda top: _busybox(top, say), say)
    release = await asyncio.to_thread(mirrors.host_release)
    suite = suite or (wanted.tag if wanted.tag not in ("", "latest") else "")
    default = release.codename if release.is_debian and release.codename else "stable"
    chosen = suite or default
    if not _SUITE.match(chosen):
        raise InvalidArgument(f'"{chosen}" is no name of a Debian suite')
    tags = ["latest", chosen] if chosen == default else [chosen]
    return await _made(store, tags, "debian", "bash", lambda top: _debian(top, chosen, say, progress), say)


@asynccontextmanager
async def _directory(store: ImageStore) -> AsyncIterator[str]:
    path = store.layers.temporary("rootfs")
    os.mkdir(path, 0o700)
    try:
        yield path
    finally:
        await asyncio.shield(spawn("remove bootstrap", asyncio.to_thread(remove_tree, path)))


async def _made(
    store: ImageStore,
    tags: list[str],
    family: str,
    shell: str,
    fill: Callable[[str], Awaitable[None]],
    say: Say,
) -> Image:
    async with _directory(store) as scratch:
        top = os.path.join(scratch, "root")
        os.mkdir(top, 0o755)
        os.chmod(top, 0o755)
        await fill(top)
        say("Importing the file system")
        async with store.drafted() as draft:
            layer = await store.fill_from(draft, Produced("pack bootstrap", lambda write: _pack(top, write)))
            made = format_time(time.time_ns())
            here = Platform.of_host()
            step = f'/bin/sh -c #(nop)  CMD ["{shell}"]'
            document = configs.ImageConfig(
                architecture=here.architecture,
                os=here.os,
                variant=here.variant,
                created=made,
                config=configs.RunConfig(env=[_PATH], cmd=[shell]),
                rootfs=configs.RootFS(diff_ids=[layer.diff_id]),
                history=[
                    configs.HistoryEntry(created=made, created_by=f"wharfie image bootstrap {family}"),
                    configs.HistoryEntry(created=made, created_by=step, empty_layer=True),
                ],
            )
            names = [(reference.parse(f"{family}:{tag}").canonical, True) for tag in tags]
            image = store.register(configs.encode(document), [layer], names=names)
    say(f"Made {family}:{tags[0]}")
    return image


def _pack(top: str, write: pack.Write) -> None:
    fd = os.open(top, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        pack.pack_root(fd, write)
    finally:
        os.close(fd)


async def _busybox(top: str, say: Say) -> None:
    binary = shutil.which("busybox", path=programs.SEARCH)
    if binary is None or not await asyncio.to_thread(_is_static, binary):
        say("Fetching the package busybox-static")
        scratch = os.path.join(os.path.dirname(top), "package")
        os.mkdir(scratch, 0o755)
        apt, dpkg = programs.find("apt-get", "apt"), programs.find("dpkg-deb", "dpkg")
        await programs.run([apt, "-o", "APT::Sandbox::User=root", "download", "busybox-static"], say, scratch)
        package = next((name for name in os.listdir(scratch) if name.endswith(".deb")), None)
        if package is None:
            raise programs.ProgramFailed("apt-get downloaded no package of busybox-static")
        await programs.run([dpkg, "-x", os.path.join(scratch, package), scratch], say)
        found = (os.path.join(scratch, place, "busybox") for place in ("bin", "usr/bin"))
        binary = next(path for path in found if os.path.exists(path))
    say("Making the file system of busybox")
    applets: list[str] = []
    await programs.run([binary, "--list"], applets.append)
    await asyncio.to_thread(_busybox_tree, top, binary, applets)


def _is_static(path: str) -> bool:
    """Whether an ELF file asks for no interpreter (elf(5), PT_INTERP)."""
    with open(path, "rb") as file:
        head = file.read(1 << 16)
    if head[:5] != b"\x7fELF\x02":
        return False
    order = "little" if head[5] == 1 else "big"

    def number(at: int, size: int) -> int:
        return int.from_bytes(head[at : at + size], order)  # type: ignore[arg-type]

    start, size, count = number(32, 8), number(54, 2), number(56, 2)
    return all(number(start + at * size, 4) != 3 for at in range(count))


def _busybox_tree(top: str, binary: str, applets: list[str]) -> None:
    for name in (
        "bin",
        "dev",
        "etc",
        "home",
        "root",
        "tmp",
        "usr",
        "usr/bin",
        "usr/sbin",
        "var",
        "var/spool",
    ):
        os.mkdir(os.path.join(top, name), 0o755)
        os.chmod(os.path.join(top, name), 0o755)
    for name, mode in (("root", 0o700), ("tmp", 0o1777)):
        os.chmod(os.path.join(top, name), mode)
    target = os.path.join(top, "bin", "busybox")
    shutil.copyfile(binary, target)
    os.chmod(target, 0o755)
    for applet in applets:
        if applet and "/" not in applet and applet != "busybox":
            os.link(target, os.path.join(top, "bin", applet))
    files = {"etc/passwd": _PASSWD, "etc/group": _GROUP, "etc/shadow": "root:*:::::::\n"}
    for name, text in files.items():
        with open(os.path.join(top, name), "x", encoding="ascii") as file:
            file.write(text)
        os.chmod(os.path.join(top, name), 0o600 if name == "etc/shadow" else 0o644)
    os.symlink("../../bin/env", os.path.join(top, "usr/bin/env"))


def _stages(suite: str, progress: Progress) -> Say:
    """Takes debootstrap's lines and tells of its stages, the package at hand beside them."""

    def say(line: str) -> None:
        verb, _, package = line.removeprefix("I: ").partition(" ")
        if verb in _STAGES:
            shown = package.removesuffix("...")
            progress({"id": suite, "status": _STAGES[verb], "progressDetail": {}, "progress": shown})

    return say


async def _debian(top: str, suite: str, say: Say, progress: Progress) -> None:
    debootstrap = programs.find("debootstrap", "debootstrap")
    if not os.path.exists(os.path.join("/usr/share/debootstrap/scripts", suite)):
        raise InvalidArgument(f'debootstrap knows no Debian suite called "{suite}"')
    mirror = await asyncio.to_thread(mirrors.debian_mirror)
    words = [
        debootstrap,
        "--variant=minbase",
        # ps(1): the first thing that many type in a container
        "--include=procps",
        *mirrors.keyring_option(),
        suite,
        top,
        *([mirror] if mirror else []),
    ]
    say(f"Installing Debian {suite} with debootstrap; this takes about a minute")
    try:
        await programs.run(words, _stages(suite, progress))
    except programs.ProgramFailed as error:
        raise programs.ProgramFailed(
            f"{error.message} (is the mirror of the distribution reachable from here?)"
        ) from error
    await asyncio.to_thread(_clean, top)


def _clean(top: str) -> None:
    """Drop what belongs to one installation and not to an image: caches, logs, identities."""
    for directory in (
        "var/cache/apt/archives",
        "var/cache/apt",
        "var/lib/apt/lists",
        "var/log",
        "tmp",
        "run",
    ):
        _empty(os.path.join(top, directory))
    for name in ("etc/machine-id", "var/lib/dbus/machine-id"):
        path = os.path.join(top, name)
        if os.path.lexists(path):
            os.unlink(path)
    with open(os.path.join(top, "etc/machine-id"), "x", encoding="ascii"):
        pass  # empty: made anew at the first boot
    for name in ("etc/resolv.conf", "etc/hostname"):
        path = os.path.join(top, name)
        if os.path.lexists(path):
            os.unlink(path)
    for name, text in mirrors.IMAGE_FILES.items():
        path = os.path.join(top, name)
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        os.chmod(path, 0o755 if name.startswith("usr/sbin") else 0o644)


def _empty(directory: str) -> None:
    """Remove the files in a directory made by the packages; directories stay, with their owners."""
    if not os.path.isdir(directory) or os.path.islink(directory):
        return
    for path, _, names in os.walk(directory):
        for name in names:
            found = os.path.join(path, name)
            if not stat.S_ISDIR(os.lstat(found).st_mode):
                os.unlink(found)
