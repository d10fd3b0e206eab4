"""What makes a step be done again, and what does not."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest

from tests import ours
from tests.kernel.build.conftest import Files, Yard

DOCKERFILE = """FROM busybox
ARG word=one
ENV fixed=1
COPY dir /dir
RUN cat /dir/a
RUN echo $word
COPY other /other"""
FILES: Files = {"dir/a": "alpha", "dir/b": "beta", "other": "other", "unused": "unused"}
FIRST, SAYS, WORD, LAST = "COPY dir /dir", "RUN cat /dir/a", "RUN echo $word", "COPY other /other"


def touch(yard: Yard) -> None:
    for path in yard.context.rglob("*"):
        os.utime(path, (1, 1))


def swap_order(yard: Yard) -> None:
    names = sorted(path.name for path in (yard.context / "dir").iterdir())
    contents = {name: (yard.context / "dir" / name).read_text() for name in names}
    for name in names:
        (yard.context / "dir" / name).unlink()
    for name in reversed(names):
        (yard.context / "dir" / name).write_text(contents[name])


def change(name: str, text: str) -> Callable[[Yard], None]:
    return lambda yard: yard.write(files={name: text})


TABLE: list[tuple[str, Callable[[Yard], None], tuple[str, ...], set[str]]] = [
    ("nothing", lambda yard: None, (), set()),
    ("times only", touch, (), set()),
    ("order in the directory", swap_order, (), set()),
    ("a file that no step reads", change("unused", "x"), (), set()),
    ("content of an early file", change("dir/a", "ALPHA"), (), {FIRST, SAYS, WORD, LAST}),
    ("same length, other content", change("dir/a", "alphb"), (), {FIRST, SAYS, WORD, LAST}),
    ("content of a late file", change("other", "x"), (), {LAST}),
    ("mode", lambda yard: (yard.context / "dir/a").chmod(0o755), (), {FIRST, SAYS, WORD, LAST}),
    (
        "name",
        lambda yard: (yard.context / "dir/b").rename(yard.context / "dir/c"),
        (),
        {FIRST, SAYS, WORD, LAST},
    ),
    ("a new file", change("dir/new", "n"), (), {FIRST, SAYS, WORD, LAST}),
    ("a removed file", lambda yard: (yard.context / "dir/b").unlink(), (), {FIRST, SAYS, WORD, LAST}),
    ("an argument that is used", lambda yard: None, ("--build-arg", "word=two"), {SAYS, WORD}),
    ("a proxy", lambda yard: None, ("--build-arg", "http_proxy=http://x"), set()),
    ("a label of the command line", lambda yard: None, ("--label", "a=b"), set()),
    ("a name", lambda yard: None, ("-t", "another"), set()),
    ("no cache", lambda yard: None, ("--no-cache",), {"ENV fixed=1", FIRST, SAYS, WORD, LAST}),
    (
        "an instruction before",
        lambda yard: yard.write(DOCKERFILE.replace("fixed=1", "fixed=2")),
        (),
        {"ENV fixed=2", SAYS, WORD},
    ),
]


@pytest.mark.parametrize(("what", "act", "words", "expected"), TABLE, ids=[row[0] for row in TABLE])
def test_a_step_is_done_again_only_if_what_it_uses_has_changed(
    yard: Yard, what: str, act: Callable[[Yard], None], words: tuple[str, ...], expected: set[str]
) -> None:
    first = yard.build(dockerfile=DOCKERFILE, files=FILES)
    assert first.code == 0, first.text
    act(yard)
    again = yard.build(*words)
    assert again.code == 0, again.text
    made = {text for text in again.made if not text.startswith("ARG")}
    if LAST in made and LAST not in expected:
        # a step below changed nothing in the layers: what lies on it is cached by content
        made.discard(LAST)
    assert made == expected


@pytest.mark.parametrize(
    ("first", "second", "step"),
    [
        ("RUN chown 5 /d/f", "RUN chown 6 /d/f", "COPY --from=a /d /d"),
        ("RUN chown 5 /d/f", "RUN chown 6 /d/f", "COPY --from=a /d/f /f"),
        ("RUN chmod 700 /d", "RUN chmod 711 /d", "COPY --from=a --parents /d/f /"),
        ("RUN mv /d /x", "RUN mv /d /y", "COPY --from=a --parents /[xy]/f /"),
    ],
)
def test_owners_and_kept_parents_are_part_of_what_is_copied(
    yard: Yard, first: str, second: str, step: str
) -> None:
    text = "FROM busybox AS a\nRUN mkdir /d && echo 1 > /d/f\n{0}\nFROM busybox\n{1}"
    assert yard.build(dockerfile=text.format(first, step)).code == 0
    again = yard.build(dockerfile=text.format(first, step))
    assert (again.code, again.made) == (0, []), again.text
    other = yard.build(dockerfile=text.format(second, step))
    assert (other.code, set(other.made)) == (0, {second, step}), other.text


def test_equal_results_are_taken_from_the_cache_even_behind_a_step_that_was_done_again(yard: Yard) -> None:
    text = "FROM busybox\nRUN : {}; echo same > /f\nRUN cat /f > /g"
    yard.build(dockerfile=text.format(1))
    again = yard.build(dockerfile=text.format(2))
    assert again.code == 0
    assert again.made[0].startswith("RUN : 2")


def test_two_stages_with_the_same_step_do_it_once(yard: Yard) -> None:
    step = "RUN cat /proc/sys/kernel/random/uuid > /id"
    done = yard.build(
        "-t", "twice", dockerfile=f"FROM busybox AS a\n{step}\nFROM busybox\n{step}\nCOPY --from=a /id /other"
    )
    assert done.code == 0, done.text
    assert yard.run("twice", "cmp", "/id", "/other") == ""


def test_a_cached_build_gives_the_very_same_image(yard: Yard) -> None:
    first = yard.build(dockerfile=DOCKERFILE, files=FILES)
    assert first.image == yard.build().image


def test_the_same_inputs_give_the_same_image_with_a_source_date(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    yard.write("FROM busybox\nCOPY dir /d\nWORKDIR /new/one\nRUN echo x > /made && mkdir /m", FILES)
    first = yard.build("--no-cache")
    touch(yard)
    for path in yard.context.rglob("*"):
        os.utime(path, (2_000_000_000, 2_000_000_000))
    second = yard.build("--no-cache")
    assert first.code == second.code == 0, first.text
    touched = yard.build("--no-cache", dockerfile="FROM busybox\nCOPY dir /d\nRUN echo x > /made && mkdir /m")
    assert touched.image != first.image
    assert yard.run(second.image, "stat", "-c", "%Y", "/made").strip() == "1000000000"
    assert (
        second.image
        == yard.build(
            "--no-cache",
            dockerfile="FROM busybox\nCOPY dir /d\nWORKDIR /new/one\nRUN echo x > /made && mkdir /m",
        ).image
    )


def test_a_pruned_cache_frees_what_no_image_has_and_keeps_images_whole(yard: Yard) -> None:
    done = yard.build("-t", "kept", dockerfile="FROM busybox\nRUN echo precious > /p")
    assert done.code == 0
    yard.build(
        dockerfile="FROM busybox AS b\nRUN dd if=/dev/zero of=/big bs=1M count=3\n"
        "FROM busybox\nCOPY --from=b /etc/passwd /x"
    )
    out = yard.engine.cli("builder", "prune", "-af").stdout
    assert "Total reclaimed space: 3.1" in out, out
    assert yard.run("kept", "cat", "/p") == "precious\n"
    assert "Total:\t\t0B" in yard.engine.cli("builder", "du").stdout
    assert yard.engine.cli("system", "check").returncode == 0


def test_a_context_that_has_not_changed_is_not_sent_again(yard: Yard) -> None:
    yard.write("FROM busybox\nCOPY a /a\nRUN cat /a", {"a": "first", ".dockerignore": "Dockerfile\n"})
    ours.until(lambda: settled(yard), "no file was changed in the last seconds")
    kept = yard.engine.state / "data/build-contexts"
    ours.until(lambda: not kept.exists() or not list(kept.iterdir()), "the prune before has removed it")
    first = yard.build("-t", "kept")
    assert len(list(kept.iterdir())) == 1
    again = yard.build("-t", "kept")
    assert (first.code, again.code) == (0, 0), again.text
    assert (again.image, again.made) == (first.image, [])
    yard.write(files={"a": "other"})
    assert yard.build("-t", "kept").code == 0
    assert yard.run("kept", "cat", "/a") == "other"
    yard.engine.cli("builder", "prune", "-af")
    ours.until(lambda: not list(kept.iterdir()), "a prune removes it")


def test_a_prune_by_type_leaves_the_other(yard: Yard) -> None:
    dockerfile = "FROM busybox\nRUN --mount=type=cache,target=/c echo x > /c/x\n"

    def types() -> set[str]:
        shown = yard.engine.cli("builder", "du", "--verbose").stdout
        return {line.split()[1] for line in shown.splitlines() if line.startswith("Type:")}

    yard.build(dockerfile=dockerfile)
    assert types() == {"regular", "exec.cachemount"}
    yard.engine.cli("builder", "prune", "-af", "--filter", "type=source.local")
    assert types() == {"regular", "exec.cachemount"}
    yard.engine.cli("builder", "prune", "-af", "--filter", "type=exec.cachemount")
    assert types() == {"regular"}
    yard.build(dockerfile=dockerfile.replace("x >", "y >"))
    yard.engine.cli("builder", "prune", "-af", "--filter", "type=regular")
    assert types() == {"exec.cachemount"}


def test_what_the_cache_holds_is_shown_as_buildx_does_and_filtered(yard: Yard) -> None:
    yard.build(dockerfile="FROM busybox\nRUN --mount=type=cache,target=/c echo 12345 > /c/x && echo 1 > /y\n")

    def shown(*words: str) -> str:
        done = yard.engine.cli("builder", "du", *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    verbose = shown("--verbose", "--filter", "type=exec.cachemount")
    lines = dict(line.split(":", 1) for line in verbose.splitlines() if line)
    assert lines["Description"] == "\tcached mount /c"
    assert lines["Mutable"] == "\t\ttrue"
    assert lines["Size"] == "\t\t6B"
    assert lines["Created at"].endswith(" +0000 UTC")
    assert "Total" not in lines
    assert "RUN" in shown("--filter", "type=regular")
    assert "RUN" not in shown("--filter", "mutable=true")
    assert "RUN" not in shown("--filter", "until=1h")
    bad = yard.engine.cli("builder", "du", "--filter", "nonsense=1")
    assert (bad.returncode, "invalid filter 'nonsense'" in bad.stderr) == (1, True)


def settled(yard: Yard) -> bool:
    return all(time.time() - path.stat().st_ctime > 2.5 for path in yard.context.rglob("*"))
