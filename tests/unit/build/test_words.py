"""Words and variables of a Dockerfile."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wharfie.build.errors import DockerfileError
from wharfie.build.words import Lexer

VARIABLES = {"a": "one", "empty": "", "path": "foo/bar/baz.tar.gz", "two": "x y", "s": "*star"}

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
