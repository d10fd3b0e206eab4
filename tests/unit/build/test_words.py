"""Words and variables of a Dockerfile."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wharfie.build.errors import DockerfileError
from wharfie.build.globs import Glob
from wharfie.build.words import Lexer

VARIABLES = {
    "long": "x" * 10_000,
    "a": "one",
    "empty": "",
    "path": "foo/bar/baz.tar.gz",
    "two": "x y",
    "s": "*star",
}

WORDS = [
    ("plain", "plain"),
    ("$a", "one"),
    ("${a}b", "oneb"),
    ("$ab", ""),
    ("'$a'", "$a"),
    ('"$a"', "one"),
    (r"\$a", "$a"),
    (r'"\$a"', "$a"),
    (r'"\n"', r"\n"),
    (r"\n", "n"),
    ("${none:-other}", "other"),
    ("${empty:-other}", "other"),
    ("${empty-other}", ""),
    ("${none-other}", "other"),
    ("${a:+set}", "set"),
    ("${empty:+set}", ""),
    ("${empty+set}", "set"),
    ("${none:+set}", ""),
    ("${none:-$a}", "one"),
    ("${none:-${empty:-${a}}}", "one"),
    ('${none:-"b c"}', "b c"),
    ("${path#*/}", "bar/baz.tar.gz"),
    ("${path##*/}", "baz.tar.gz"),
    ("${path%.*}", "foo/bar/baz.tar"),
    ("${path%%.*}", "foo/bar/baz"),
    ("${path#x}", "foo/bar/baz.tar.gz"),
    ("${path/bar/qux}", "foo/qux/baz.tar.gz"),
    ("${path//a/A}", "foo/bAr/bAz.tAr.gz"),
    ("${path/ba?/}", "foo//baz.tar.gz"),
    (r"${path//\//-}", "foo-bar-baz.tar.gz"),
    (r"${s#\*}", "star"),
    ("${a//*/x}", "x"),
    ("${a//o/}", "ne"),
    ("${two//?/x}", "xxx"),
    ("${two//z*/-}", "x y"),
    ("$", "$"),
    ("a$", "a$"),
    ("$%", "$%"),
    ('he"llo  w"orld', "hello  world"),
]


@pytest.mark.parametrize(("text", "expected"), WORDS)
def test_a_word_is_expanded(text: str, expected: str) -> None:
    assert Lexer().word(text, VARIABLES) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b  c", ["a", "b", "c"]),
        ("$two", ["x", "y"]),
        ('"$two"', ["x y"]),
        ("p$two", ["px", "y"]),
        ("'a b' c", ["a b", "c"]),
        ("$none", []),
        ('""', [""]),
        ("p${none:-$two}q", ["px", "yq"]),
        ("${none:-a $two} c", ["a", "x", "y", "c"]),
    ],
)
def test_a_text_is_split_into_words(text: str, expected: list[str]) -> None:
    assert Lexer().words(text, VARIABLES) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${a", "syntax error: missing '}'"),
        ("${}", "syntax error: bad substitution"),
        ("${:-x}", "syntax error: bad substitution"),
        ("${x:-" * 101 + "}" * 101, "substitutions are nested more than 100 deep"),
        ("${long#" + "?" * 2000 + "}", "a pattern or the value that it is for is too long"),
        ("${a:x}", "unsupported modifier (:x) in substitution"),
        ("'a", "unexpected end of statement while looking for matching single-quote"),
        ('"a', "unexpected end of statement while looking for matching double-quote"),
        ("${none:?give it}", "none: give it"),
        ("${none?}", "none: not allowed to be unset"),
    ],
)
def test_a_bad_word_is_refused(text: str, message: str) -> None:
    with pytest.raises(DockerfileError, match=r".*") as caught:
        Lexer().word(text, VARIABLES)
    assert message in str(caught.value)


def test_values_made_of_themselves_do_not_grow_without_end() -> None:
    value = "x" * (1 << 20)
    assert Lexer().word("$v", {"v": value}) == value
    with pytest.raises(DockerfileError, match="variables add more than 1048576 characters"):
        Lexer().word("$v$v", {"v": value})
    with pytest.raises(DockerfileError, match="longer than 1048576 characters"):
        Lexer().word("${v//?/$w}", {"v": "x" * 2000, "w": "y" * 2000})


@pytest.mark.parametrize("modifier", ["#", "##", "%", "%%", "/", "//"])
def test_no_number_of_stars_keeps_us_busy(modifier: str) -> None:
    text = "a" * 5000
    assert Lexer().word("${v" + modifier + "*a" * 30 + "b}", {"v": text}) == text


@given(st.text("ab*?", max_size=6), st.text("abc", max_size=9), st.booleans())
def test_patterns_match_as_regular_expressions_do(pattern: str, text: str, greedy: bool) -> None:
    star = {"*": ".*" if greedy else ".*?", "?": "."}
    found = re.match("".join(star.get(char, char) for char in pattern), text)
    glob = Glob(pattern, text)
    assert glob.without_prefix(greedy=greedy) == (text[found.end() :] if found else text)
    whole = re.compile("".join({"*": ".*", "?": "."}.get(char, char) for char in pattern))
    starts = [at for at in range(len(text) + 1) if whole.fullmatch(text, at)]
    kept = text[: starts[0 if greedy else -1]] if starts else text
    assert glob.without_suffix(greedy=greedy) == kept
    assert glob.replaced("X", every=False, limit=100) == whole.sub("X", text, count=1)


def test_the_other_escape_character_leaves_backslashes_alone() -> None:
    assert Lexer("`").word(r"c:\dir\`$a", VARIABLES) == r"c:\dir\$a"


def test_names_of_variables_are_noted() -> None:
    lexer = Lexer()
    lexer.word("$a $none ${empty:-x}", VARIABLES)
    assert lexer.used == {"a"}
    assert lexer.missing == {"none"}


@given(st.text(alphabet="ab $\\'\"{}:-+#%/*?`\n", max_size=40))
@settings(max_examples=400, deadline=None)
def test_any_text_is_a_word_or_an_error(text: str) -> None:
    try:
        Lexer().word(text, VARIABLES)
        Lexer("`", raw_quotes=True, raw_escapes=True, keep_unset=True).words(text, VARIABLES)
    except DockerfileError:
        return
