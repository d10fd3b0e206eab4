"""``RUN``: a process in a container, and what it left as a layer."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace

from wharfie.build.copystep import dress_root, finish
from wharfie.build.errors import BuildFailed, BuildNotSupported, CommandFailed
from wharfie.build.instructions import Mount, Run
from wharfie.build.progress import StepReport
from wharfie.build.runmounts import Mounts, Origin, Stubs
from wharfie.build.running import Bind, Step
from wharfie.build.shop import Shop
from wharfie.build.stagestate import StageState
from wharfie.build.variables import Scope
from wharfie.images.adopting import remove_stubs
from wharfie.images.layers import Layer
from wharfie.images.pipe import to_its_end
from wharfie.images.platform import Platform
from wharfie.support.faults import point
from wharfie.support.files import remove_tree, write_all
from wharfie.support.ids import new_id

_ONLY_DOCUMENT = re.compile(r"\s*(\d*)<<-?[\"']?([A-Za-z0-9_.-]+)[\"']?\s*\Z")
_SCRIPT = "/dev/pipes"


@dataclass(frozen=True, slots=True)
class Wanted:
    """``RUN`` with all that it uses."""

    item: Run
    words: list[str]
    script: str
    """Content of a file that is executed; empty for none."""
    env: list[str]
    arguments: dict[str, str]
    proxies: dict[str, str]
    mounts: list[Mount]
    network: str

    @property
    def shown(self) -> str:
        """For the history: build arguments first, proxies never."""
        given = [f"{name}={value}" for name, value in sorted(self.arguments.items())]
        prefix = f"|{len(given)} {' '.join(given)} " if given else ""
        return f"RUN {prefix}{' '.join(self.words)} # buildkit"


def expanded(item: Run, scope: Scope, state: StageState, shop: Shop) -> Wanted:
    """Replace variables, put the command together; raises DockerfileError."""
    words = list(item.words)
    script = ""
    if item.shell:
        text = item.words[0]
        only = _ONLY_DOCUMENT.match(text)
        if item.documents and only:
            document = item.documents[0]
            if document.content.startswith("#!"):
                script = document.content
                text = f"{_SCRIPT}/{document.name}"
            else:
                text = document.content
        else:
            for document in item.documents:
                text += f"\n{document.content}{document.name}"
        words = [*state.configuration.shell, text]
    line = item.line.first
    mounts = [
        replace(
            mount,
            target=scope.expand(mount.target, line),
            source=scope.expand(mount.source, line),
            id=scope.expand(mount.id, line),
        )
        for mount in item.mounts
    ]
    network = item.network or shop.options.network or "default"
    _entitled(item, shop)
    return Wanted(
        item, words, script, list(state.configuration.run.env or ()), scope.arguments(), scope.proxies(),
        mounts, network,
    )  # fmt: skip


def _entitled(item: Run, shop: Shop) -> None:
    """Raises BuildFailed for what the Dockerfile takes, and nobody who asked for the build has allowed."""
    wanted = []
    if item.security == "insecure":
        wanted.append("security.insecure")
    if item.network == "host" and shop.options.network != "host":
        wanted.append("network.host")
    for name in wanted:
        if name not in shop.options.allow:
            raise BuildFailed(f"{name} is not allowed")


def key_of(shop: Shop, state: StageState, wanted: Wanted, mounts: Mounts) -> list[object]:
    """All that the result depends on."""
    run = state.configuration.run
    return [
        "run", state.chain, wanted.words, wanted.script, wanted.env, wanted.arguments, run.user,
        run.working_dir,
        wanted.network, wanted.item.security, sorted(shop.options.hosts), mounts.identity, shop.options.epoch,
        str(state.platform),
    ]  # fmt: skip


async def done(
    shop: Shop, state: StageState, wanted: Wanted, mounts: Mounts, report: StepReport, origin: Origin
) -> Layer | None:
    """Run it; its layer, placed, or None when it changed nothing. Raises BuildFailed."""
    if Platform.of_host().rank(state.platform) is None and not emulated(state.platform.architecture):
        raise BuildNotSupported(
            f"this machine cannot run programs for {state.platform}: binfmt_misc has no emulator for them"
        )
    run = state.configuration.run
    identifier = new_id()
    bundle = shop.place("run")
    lower = shop.lower(state.layers)
    try:
        async with shop.store.drafted() as draft:
            upper, work = os.path.join(draft.path, "diff"), os.path.join(draft.path, "work")
            dress_root(upper, lower[0])
            os.mkdir(work, 0o700)
            try:
                await mounts.prepare(wanted.mounts, run.working_dir)
                binds = [*mounts.binds, *_script(wanted, bundle)]
                stubs = Stubs(lower, [bind.target for bind in binds])
                arguments = {**wanted.proxies, **wanted.arguments}
                step = Step(
                    id=identifier,
                    words=wanted.words,
                    env=[*wanted.env, *(f"{name}={value}" for name, value in arguments.items()), *mounts.env],
                    user=run.user,
                    directory=run.working_dir,
                    lower=lower,
                    upper=upper,
                    work=work,
                    bundle=bundle,
                    network=wanted.network,
                    insecure=wanted.item.security == "insecure",
                    binds=binds,
                    hosts=shop.options.hosts,
                    limits=shop.options.limits,
                )
                report.running(identifier)
                code = await shop.runner.run(step, report.output)
            finally:
                await mounts.close()
            point("a step's command has ended")
            if code:
                raise CommandFailed(" ".join(wanted.words), code)

            def collect() -> Layer | None:
                stubs.remove(upper)
                remove_stubs(draft, lower)
                return finish(shop, draft, lower)

            return await to_its_end("collect a layer", collect)
    finally:
        await to_its_end("remove a bundle", lambda: remove_tree(bundle))


def _script(wanted: Wanted, bundle: str) -> list[Bind]:
    if not wanted.script:
        return []
    path = f"{bundle}/script"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o755)
    try:
        write_all(fd, wanted.script.encode("utf-8", "surrogateescape"))
        os.fchmod(fd, 0o755)
    finally:
        os.close(fd)
    return [Bind(path, wanted.words[-1])]


def emulated(architecture: str, handlers: str = "/proc/sys/fs/binfmt_misc") -> bool:
    """Whether the kernel hands programs of an architecture to an emulator (binfmt_misc)."""
    names = {
        "arm64": "aarch64",
        "amd64": "x86_64",
        "386": "i386",
        "ppc64le": "ppc64le",
        "loong64": "loongarch64",
    }
    name = names.get(architecture, architecture)
    for path in (f"{handlers}/qemu-{name}", f"{handlers}/{name}"):
        try:
            with open(path, encoding="ascii", errors="replace") as file:
                if file.readline().strip() == "enabled":
                    return True
        except OSError:
            continue
    return False
