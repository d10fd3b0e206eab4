"""The page of differences from Docker says what the tests know."""

from __future__ import annotations

from tests.peers import compatibility, left_out


def test_the_page_is_not_behind() -> None:
    assert compatibility.PAGE.read_text(encoding="utf-8") == compatibility.page(), (
        "write it anew: python -m tests.peers.compatibility"
    )


def test_every_command_that_is_left_out_is_on_it() -> None:
    page = compatibility.page()
    for name in (*left_out.GROUPS, *(f"--{one}" for named in left_out.OPTIONS.values() for one in named)):
        assert f"`{name}`" in page
