"""``.dockerignore`` by Docker's rules."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wharfie.support.ignore import BadPattern, Matcher, compiled, read_patterns

MATCHES = [
    ("a", "a", True),
    ("a", "b/a", False),
    ("a", "a/b/c", True),
    ("*/a", "b/a", True),
    ("*/a", "b/c/a", False),
    ("**/a", "a", True),
    ("**/a", "b/c/a", True),
    ("**", "a/b", True),
    ("a/**", "a/b/c", True),
    ("a/**", "a", False),
    ("*.go", "x.go", True),
    ("*.go", "d/x.go", False),
    ("**/*.go", "d/x.go", True),
    ("a?", "ab", True),
    ("a?", "a/", False),
    ("[a-c]x", "bx", True),
    ("[^a-c]x", "bx", False),
    ("[^a-c]x", "dx", True),
    ("a\\*", "a*", True),
    ("a\\*", "ab", False),
    ("/a", "a", True),
    ("a/", "a/b", True),
    ("./a", "a", True),
    ("a/../b", "b", True),
    ("a**b", "ab", True),
    ("a**b", "axb", False),
    ("a**b", "ax/y/b", True),
    ("**/**/a", "x/a", True),
    ("*a**", "xa/b", True),
    ("**/*a*/**/b*c", "x/xax/y/z/bxc", True),
    ("**/*a*/**/b*c", "x/xax/y/z/bxd", False),
]


@pytest.mark.parametrize(("pattern", "path", "expected"), MATCHES)
def test_a_pattern_matches(pattern: str, path: str, expected: bool) -> None:
    assert Matcher(read_patterns(pattern)).matches(path) is expected


def test_the_last_pattern_counts() -> None:
    rules = Matcher(read_patterns("*.md\n!README.md\nREADME-secret.md\n"))
    assert [name for name in ("a.md", "README.md", "README-secret.md", "x") if rules.matches(name)] == [
        "a.md",
        "README-secret.md",
    ]


def test_a_file_below_a_directory_can_be_taken_back() -> None:
    rules = Matcher(read_patterns("# a comment\n\nd\n!d/keep\n"))
    assert rules.matches("d/x")
    assert not rules.matches("d/keep")
    assert rules.may_have_kept_below("d")
    assert not Matcher(["d"]).may_have_kept_below("d")


@pytest.mark.parametrize("pattern", ["[", "[a", "a\\", "[]a", "!"])
def test_a_bad_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(BadPattern):
        Matcher([pattern])


@given(st.text(alphabet="ab*?[]^-\\/!.", max_size=12), st.text(alphabet="ab/.", min_size=1, max_size=10))
def test_any_pattern_matches_or_is_refused(pattern: str, path: str) -> None:
    try:
        Matcher(read_patterns(pattern)).matches(path)
    except BadPattern:
        return


@pytest.mark.parametrize(
    "pattern", ["*a" * 30 + "b", "**/a*/" * 12 + "b", "a**" * 12 + "b", "**a" * 12 + "b"]
)
@pytest.mark.parametrize("path", ["a" * 4000, "a/" * 2000, "ab/" * 1300])
def test_no_number_of_stars_keeps_us_busy(pattern: str, path: str) -> None:
    assert not compiled(pattern)(path + "c")


@given(
    st.lists(st.sampled_from(["a", "b", "*", "**", "**/", "/", "?"]), max_size=8), st.text("abc/", max_size=9)
)
def test_a_pattern_matches_as_a_plain_expression_does(parts: list[str], path: str) -> None:
    pattern = "".join(parts)
    text = re.sub(r"\*\*/?\Z", "<rest>", pattern)
    for one, other in (("**/", "<way>"), ("**", "<way>"), ("*", "[^/]*"), ("?", "[^/]")):
        text = text.replace(one, other)
    plain = re.compile(text.replace("<rest>", ".*").replace("<way>", "(?:.*/)?"))
    if "***" not in pattern:  # which two of them belong together is for the reader to choose
        assert bool(compiled(pattern)(path)) == bool(plain.fullmatch(path))
