"""``import wharfie`` costs nothing before something of it is used, and offers what it says."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import wharfie
from wharfie.client.library import public

SOURCE = Path(__file__).resolve().parents[4] / "src"


def test_an_import_loads_nothing() -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(SOURCE)!r}); before = set(sys.modules); import wharfie; "
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == ["wharfie"]


def test_what_is_offered_is_there_and_type_checkers_are_told_the_same() -> None:
    for name, module in public.PUBLIC.items():
        assert getattr(wharfie, name) is getattr(sys.modules[module], name)
    tree = ast.parse((SOURCE / "wharfie" / "__init__.py").read_text())
    shown = next(node for node in tree.body if isinstance(node, ast.If))
    told = {
        alias.name: node.module
        for node in shown.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert told == public.PUBLIC
    assert (SOURCE / "wharfie" / "py.typed").exists()


def test_what_is_not_offered_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Docker'"):
        wharfie.Docker  # type: ignore[attr-defined]  # noqa: B018
