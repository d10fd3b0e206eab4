"""Imports point down, never sideways; modules stay small; cold ones import only what is cheap."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "wharfie"

LEVELS = {
    "errors": 0,
    "support": 0,
    "linux": 1,
    "spec": 1,
    "wire": 1,
    "state": 2,
    "logs": 2,
    "runtime": 2,
    "monitor": 3,
    "porter": 3,
    "images": 4,
    "network": 4,
    "volumes": 4,
    "build": 5,
    "engine": 5,
    "buildkit": 6,
    "api": 7,
    "daemon": 8,
}
# the command line stands apart: it reaches the engine through the socket only
CLIENT_SIDE = {
    "client": {"wire", "support", "errors"},
    "cli": {"client", "wire", "support", "errors"},
    "door": {"cli", "runtime", "support"},
}

# what a module of the start path may import when it is loaded: the sum of harmless imports is the budget
CHEAP = {
    "__future__",
    "_blake2",
    "_ctypes",
    "_frozen_importlib",
    "_frozen_importlib_external",
    "_json",
    "_signal",
    "_socket",
    "_stat",
    "_struct",
    "array",
    "atexit",
    "binascii",
    "errno",
    "fcntl",
    "gc",
    "json",
    "marshal",
    "math",
    "posix",
    "resource",
    "select",
    "struct",
    "sys",
    "termios",
    "time",
    "zlib",
}
COLD_PACKAGES = ("linux", "spec", "runtime", "monitor")
COLD_MODULES = (
    "support/json.py",
    "support/files.py",
    "support/ids.py",
    "support/environment.py",
    "support/paths.py",
    "support/trees.py",
    "wire/stdcopy.py",
    "logs/jsonfile.py",
)
# these run in the daemon only
WARM_EXCEPTIONS = {
    "monitor/client.py",
    "monitor/interpreter.py",
    "monitor/succession.py",
    "linux/nft.py",
    "linux/seccomp.py",
    "runtime/seccomp.py",
}


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def package_of(path: Path) -> str:
    parts = path.relative_to(SOURCE).parts
    return parts[0].removesuffix(".py")


def imports(tree: ast.AST, *, at_load: bool = False) -> Iterator[str]:
    """Modules that are imported; ``at_load`` leaves out functions and ``if TYPE_CHECKING``."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            module = node.module or ""
            if module == "wharfie":
                yield from (f"wharfie.{alias.name}" for alias in node.names)
            else:
                yield module
        elif at_load and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        elif at_load and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from (name for part in node.orelse for name in imports(part, at_load=True))
        else:
            yield from imports(node, at_load=at_load)


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_imports_point_down(path: Path) -> None:
    package = package_of(path)
    if package == "__init__":
        return
    for imported in imports(ast.parse(path.read_text())):
        if not imported.startswith("wharfie."):
            continue
        target = imported.split(".")[1]
        if target == package or target == "__version__":
            continue
        if package in CLIENT_SIDE:
            assert target in CLIENT_SIDE[package], f"{package} may not import {imported}"
        else:
            assert LEVELS[target] < LEVELS[package], f"{package} (level {LEVELS[package]}) imports {imported}"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_a_module_holds_one_idea(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 500, "past 500 lines there is a second idea inside: find it"
    assert ast.get_docstring(ast.parse(text)), "a module says why it exists"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= 60, f"{node.name} is {length} lines long"


def cold_modules() -> list[Path]:
    return [
        path
        for path in modules()
        if (package_of(path) in COLD_PACKAGES or name_of(path) in COLD_MODULES)
        and name_of(path) not in WARM_EXCEPTIONS
    ]


@pytest.mark.parametrize("path", cold_modules(), ids=name_of)
def test_cold_modules_import_only_what_is_cheap(path: Path) -> None:
    for imported in imports(ast.parse(path.read_text()), at_load=True):
        if not imported.startswith("wharfie"):
            assert imported in CHEAP, f"{imported} costs milliseconds of every start"


def test_only_linux_uses_ctypes() -> None:
    for path in modules():
        if package_of(path) != "linux":
            assert not {"ctypes", "_ctypes"} & set(imports(ast.parse(path.read_text()))), name_of(path)


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_an_init_holds_a_docstring_and_re_exports(path: Path) -> None:
    if path.name != "__init__.py":
        return
    for node in ast.parse(path.read_text()).body:
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        names = ("__version__", "__all__", "TYPE_CHECKING")
        version = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in names
        imported = isinstance(node, ast.Import | ast.ImportFrom)
        # what the package offers to programs: for type checkers, and else the door to it
        offered = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        assert docstring or version or imported or (offered and path.parent == SOURCE), ast.unparse(node)
