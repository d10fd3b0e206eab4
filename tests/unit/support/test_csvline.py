"""Lines of comma-separated values are read as Docker's Go reads them."""

from __future__ import annotations

import pytest

from wharfie.support import csvline


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("type=local,dest=out", ["type=local", "dest=out"]),
        ('type=local,"dest=a,b"', ["type=local", "dest=a,b"]),
        ('"a ""quoted"" word",b', ['a "quoted" word', "b"]),
        ("a,,b,", ["a", "", "b", ""]),
        ("", [""]),
        ('""', [""]),
        (" a , b", [" a ", " b"]),
    ],
)
def test_fields_are_split_and_unquoted(text: str, fields: list[str]) -> None:
    assert csvline.split(text) == fields


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('type=local,de"st=x', 'parse error on line 1, column 14: bare " in non-quoted-field'),
        ('"a"b', 'parse error on line 1, column 3: extraneous or missing " in quoted-field'),
        ('"a', 'parse error on line 1, column 3: extraneous or missing " in quoted-field'),
    ],
)
def test_quotes_in_wrong_places_are_told_in_dockers_words(text: str, message: str) -> None:
    with pytest.raises(ValueError, match="parse error") as caught:
        csvline.split(text)
    assert str(caught.value) == message
