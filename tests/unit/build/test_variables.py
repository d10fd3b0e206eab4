"""Which variable has which value where, and what each instruction makes of the configuration."""

from __future__ import annotations

import pytest

from wharfie.build import instructions as ins
from wharfie.build.configure import Configuration
from wharfie.build.errors import DockerfileError
from wharfie.build.reading import dockerfile
from wharfie.build.variables import Globals, Scope, platform_arguments
from wharfie.images.config import Healthcheck, RunConfig
from wharfie.images.platform import Platform

HOST = Platform("linux", "amd64")


def configured(
    text: str, *, base: RunConfig | None = None, **given: str
) -> tuple[RunConfig, list[str], Scope]:
    """The configuration after the last stage, and the lines of its history."""
    file = dockerfile(text.encode())
    around = Globals(given, platform_arguments(HOST, HOST, "last"), file.escape)
    for arg in file.arguments:
        around.declare(arg)
    state = Configuration(base or RunConfig(), given=base is not None)
    scope = Scope(around, state.run.env or [])
    lines = [state.apply(item, scope) for item in file.stages[-1].steps]
    return state.run, lines, scope


def env_of(text: str, **given: str) -> list[str]:
    return (configured(text, **given)[0].env or [])[1:]


SCOPES = [
    ("FROM x\nARG a=1\nENV b=$a", {}, ["b=1"]),
    ("FROM x\nARG a=1\nENV b=$a", {"a": "2"}, ["b=2"]),
    ("FROM x\nENV b=$a", {"a": "2"}, ["b="]),
    ("ARG a=1\nFROM x\nENV b=$a", {}, ["b="]),
    ("ARG a=1\nFROM x\nARG a\nENV b=$a", {}, ["b=1"]),
    ("ARG a=1\nFROM x\nARG a\nENV b=$a", {"a": "3"}, ["b=3"]),
    ("ARG a=1\nFROM x\nARG a=2\nENV b=$a", {}, ["b=2"]),
    ("FROM x\nARG a=1\nENV a=2\nENV b=$a", {"a": "3"}, ["a=2", "b=2"]),
    ("FROM x\nENV a=1\nARG a=2\nENV b=$a", {}, ["a=1", "b=2"]),
    ("FROM x\nARG a=1 b=$a\nENV c=$b", {}, ["c=1"]),
    ("FROM x\nENV c=$TARGETARCH", {}, ["c="]),
    ("FROM x\nARG TARGETARCH\nENV c=$TARGETARCH", {}, ["c=amd64"]),
    ("FROM x\nENV a=1\nENV a=2 b=$a", {}, ["a=2", "b=1"]),
    ("FROM x\nENV a one  two", {}, ["a=one  two"]),
    ("FROM x\nENV a=\"b c\" d='e f' g=h\\ i", {}, ["a=b c", "d=e f", "g=h i"]),
]


@pytest.mark.parametrize(("text", "given", "expected"), SCOPES)
def test_a_variable_has_its_value_where_it_is_in_scope(
    text: str, given: dict[str, str], expected: list[str]
) -> None:
    assert env_of(text, **given) == expected


def test_from_sees_the_arguments_before_it() -> None:
    file = dockerfile(b"ARG base=busybox\nARG name=$base:1\nFROM $name")
    around = Globals({}, {}, "\\")
    for arg in file.arguments:
        around.declare(arg)
    assert around.values()["name"] == "busybox:1"


def test_proxies_are_there_without_being_declared_and_apart() -> None:
    _, _, scope = configured("FROM x\nARG a=1", HTTP_PROXY="http://p", other="x")
    assert scope.arguments() == {"a": "1"}
    assert scope.proxies() == {"HTTP_PROXY": "http://p"}


def test_instructions_change_the_configuration() -> None:
    run, lines, _ = configured(
        'FROM x\nLABEL a=1 b="2 3"\nUSER me:you\nWORKDIR /a\nWORKDIR b/../c\nEXPOSE 80 53/udp 90-91\n'
        'VOLUME /v ["/w"]\nENTRYPOINT ["e"]\nCMD c d\nSTOPSIGNAL SIGTERM\n'
        "HEALTHCHECK --interval=5s --retries=2 CMD true\nONBUILD RUN x\n"
    )
    assert run.labels == {"a": "1", "b": "2 3"}
    assert (run.user, run.working_dir, run.stop_signal) == ("me:you", "/a/c", "SIGTERM")
    assert set(run.exposed_ports or {}) == {"80/tcp", "53/udp", "90/tcp", "91/tcp"}
    assert (run.entrypoint, run.cmd) == (["e"], ["/bin/sh", "-c", "c d"])
    assert run.healthcheck == Healthcheck(["CMD-SHELL", "true"], interval=5 * 10**9, retries=2)
    assert run.on_build == ["RUN x"]
    assert lines[0] == "LABEL a=1 b=2 3"
    assert 'CMD ["/bin/sh" "-c" "c d"]' in lines


def test_ranges_of_ports_are_counted_once() -> None:
    run, lines, _ = configured("FROM x\nEXPOSE " + "1-65535 2-65535/udp " * 500)
    assert len(run.exposed_ports or {}) == 65535 + 65534
    assert lines[0].startswith("EXPOSE map[1/tcp:{} 10/tcp:{} 10/udp:{} ")


def test_an_entrypoint_drops_the_command_of_the_base_and_not_of_the_stage() -> None:
    base = RunConfig(cmd=["old"])
    assert configured('FROM x\nENTRYPOINT ["e"]', base=base)[0].cmd is None
    assert configured('FROM x\nCMD ["n"]\nENTRYPOINT ["e"]', base=base)[0].cmd == ["n"]


def test_a_shell_is_used_from_its_instruction_on() -> None:
    run, _, _ = configured('FROM x\nSHELL ["/bin/bash", "-o", "pipefail", "-c"]\nCMD a b')
    assert run.cmd == ["/bin/bash", "-o", "pipefail", "-c", "a b"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("EXPOSE 70000", "line 2: Invalid containerPort: 70000"),
        ("EXPOSE a", "line 2: Invalid containerPort: a"),
        ("EXPOSE 1/foo", "line 2: Invalid proto: foo"),
        ("STOPSIGNAL NOPE", "line 2: Invalid signal: NOPE"),
        ("ENV $none=1", "line 2: ENV names can not be blank"),
        ("ENV a=${b", "line 2: failed to process \"${b\": syntax error: missing '}'"),
    ],
)
def test_a_value_that_cannot_be_is_refused(text: str, message: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        configured(f"FROM x\n{text}")
    assert message in str(caught.value)


def test_the_base_image_keeps_its_path() -> None:
    run, _, _ = configured("FROM x\nENV a=1", base=RunConfig(env=["PATH=/bin"]))
    assert run.env == ["PATH=/bin", "a=1"]
    assert isinstance(dockerfile(b"FROM x\nARG y").stages[0].steps[0], ins.Arg)
