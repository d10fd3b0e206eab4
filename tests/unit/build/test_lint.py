"""Each of Docker's build checks finds what it is for, and nothing in a good file."""

from __future__ import annotations

import pytest

from wharfie.build.errors import DockerfileError
from wharfie.build.lint import MOST, check, settings
from wharfie.build.reading import dockerfile
from wharfie.build.variables import Globals, platform_arguments
from wharfie.images.platform import Platform
from wharfie.support.ignore import Matcher

HOST = Platform("linux", "amd64")

FOUND = [
    ("FROM a AS Foo\nRUN x", "StageNameCasing", "Stage name 'Foo' should be lowercase"),
    ("FROM a as foo", "FromAsCasing", "'as' and 'FROM' keywords' casing do not match"),
    ("FROM a\nRUN x \\\n\n y", "NoEmptyContinuation", "Empty continuation line"),
    (
        "FROM a\nrun x\nRUN y",
        "ConsistentInstructionCasing",
        "Command 'run' should match the case of the command majority (uppercase)",
    ),
    (
        "FROM a AS b\nFROM a AS b",
        "DuplicateStageName",
        'Duplicate stage name "b", stage names should be unique',
    ),
    ("FROM a AS scratch", "ReservedStageName", "reserved stage"),
    ("FROM a\nCMD x", "JSONArgsRecommended", "JSON arguments recommended for CMD"),
    ("FROM a\nMAINTAINER me", "MaintainerDeprecated", "Maintainer instruction is deprecated"),
    ("FROM a:$x", "UndefinedArgInFrom", "FROM argument 'x' is not declared"),
    ("FROM a\nWORKDIR b", "WorkdirRelativePath", 'Relative workdir "b"'),
    ("FROM a\nCOPY $foo .", "UndefinedVar", "Usage of undefined variable '$foo'"),
    ('FROM a\nCMD ["a"]\nCMD ["b"]', "MultipleInstructionsDisallowed", "Multiple CMD instructions"),
    ("FROM a\nENV k v", "LegacyKeyValueFormat", '"ENV key=value" should be used'),
    ("FROM --platform=$TARGETPLATFORM a", "RedundantTargetPlatform", "Setting platform to predefined"),
    ("FROM a\nARG API_KEY", "SecretsUsedInArgOrEnv", '(ARG "API_KEY")'),
    ("ARG t\nFROM a:$t", "InvalidDefaultArgInFrom", "Default value for ARG a:$t results in empty"),
    ("FROM --platform=linux/amd64 a", "FromPlatformFlagConstDisallowed", '"linux/amd64"'),
    ("FROM a\nCOPY x.o /", "CopyIgnoredFile", 'Attempting to Copy file "x.o" that is excluded'),
    ("FROM a\nEXPOSE 80/TCP", "ExposeProtoCasing", "should be lowercase"),
    ("FROM a\nEXPOSE 127.0.0.1:80:80", "ExposeInvalidFormat", "127.0.0.1:80:80"),
]


def findings(text: str) -> list[tuple[str, str]]:
    file = dockerfile(text.encode())
    scope = Globals({}, platform_arguments(HOST, HOST, ""), file.escape)
    for arg in file.arguments:
        scope.declare(arg)
    return [(item.rule, item.message) for item in check(file, given=scope, ignored=Matcher(["*.o"]))]


@pytest.mark.parametrize(("text", "rule", "message"), FOUND)
def test_a_check_finds_what_it_is_for(text: str, rule: str, message: str) -> None:
    assert [found for found in findings(text) if found[0] == rule and message in found[1]]


def test_a_good_file_passes_every_check() -> None:
    assert not findings(
        "ARG tag=1\nFROM a:$tag AS one\nARG who=me\nENV x=$who y=$PATH\nWORKDIR /w\nWORKDIR sub\n"
        'COPY --chown=$who a $x/\nRUN make\nFROM one\nLABEL a=$x\nEXPOSE 80/tcp\nCMD ["x"]\n'
    )


def test_an_argument_that_must_be_given_is_no_finding_when_it_is() -> None:
    file = dockerfile(b"ARG t\nARG u=${t:?which}\nFROM a:${t:?which}\nRUN x")
    scope = Globals({"t": "1"}, platform_arguments(HOST, HOST, ""), file.escape)
    for arg in file.arguments:
        scope.declare(arg)
    assert check(file, given=scope) == []


def test_a_long_file_is_looked_at_soon() -> None:
    arguments = "".join(f"ARG abcdefgh{number}\n" for number in range(4000))
    uses = "".join(f"ENV x{number}=$abcdefgk{number}\n" for number in range(4000))
    stages = "".join(f"FROM s{number} AS s{number + 1}\n" for number in range(4000))
    found = findings(f"FROM a AS s0\n{arguments}{uses}{stages}")
    assert [rule for rule, _ in found] == ["UndefinedVar"] * MOST


def test_a_bad_word_in_from_is_told_with_its_line() -> None:
    with pytest.raises(DockerfileError, match=r"on line 1: syntax error: missing '}'"):
        findings("FROM --platform=${x a")


def test_a_directive_skips_checks() -> None:
    assert not findings("# check=skip=JSONArgsRecommended\nFROM a\nCMD x")
    assert not findings("# check=skip=all\nFROM a\nCMD x\nMAINTAINER y")
    assert settings("skip=A,B;error=true") == ({"a", "b"}, True)


def test_findings_name_the_page_that_explains_them() -> None:
    file = dockerfile(b"FROM a\nCMD x")
    (found,) = check(file, given=Globals({}, {}, "\\"))
    assert found.url.endswith("/rule/json-args-recommended/")
    assert (found.first, found.last) == (2, 2)
