"""The file that the command line's modules come from."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "wharfie"
ENTER = "import sys; sys.path.insert(0, sys.argv.pop(1)); "
BOOT = (
    f"{ENTER}import os; from wharfie import door\n"
    "modules = door.read(door.path_of('runtime'), sys.argv)\n"
    "os.write(1, b'hit ' if modules else b'miss ')\n"
    "door.runtime()"
)


NEEDED = (
    "__init__.py",
    "errors.py",
    "door.py",
    "support",
    "linux",
    "spec",
    "runtime",
    "cli",
    "client",
    "wire",
)


def copy(place: Path) -> None:
    """The package as far as the two programs need it."""
    for name in NEEDED:
        if name.endswith(".py"):
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(SOURCE / name, place)
        else:
            shutil.copytree(SOURCE / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the package, to be changed."""
    copy(tmp_path / "wharfie")
    return tmp_path


def python(tree: Path, program: str, *words: str) -> list[str]:
    argv = [sys.executable, "-I", "-S", "-c", program, str(tree), *words]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.split()


def version(tree: Path) -> list[str]:
    return python(tree, BOOT, "--version")[:4]


def kept(tree: Path) -> Path:
    return next((tree / "wharfie/runtime/__pycache__").glob("*.modules"))


def test_it_is_made_once_and_then_used(tree: Path) -> None:
    assert version(tree)[0] == "miss"
    made = kept(tree).stat()
    assert version(tree)[0] == "hit"
    assert kept(tree).stat().st_mtime_ns == made.st_mtime_ns


def test_it_is_never_older_than_a_source(tree: Path) -> None:
    version(tree)
    module = tree / "wharfie/runtime/cli.py"
    module.write_text(module.read_text().replace("wharfie-runtime version", "changed version"))
    assert version(tree)[:3] == ["miss", "changed", "version"]
    assert version(tree)[:3] == ["hit", "changed", "version"]


def change(module: Path) -> None:
    module.write_text(f"{module.read_text()}\nCHANGED = True\n")


def test_what_the_command_does_not_need_may_have_changed(tree: Path) -> None:
    version(tree)
    change(tree / "wharfie/runtime/views.py")
    assert version(tree)[0] == "hit"


def test_a_module_that_is_needed_later_is_not_older_than_its_source_either(tree: Path) -> None:
    version(tree)
    change(tree / "wharfie/runtime/views.py")
    later = (
        "from wharfie import door; import sys; sys.argv = []; door.use('runtime'); "
        "from wharfie.runtime import control, views; print(views.CHANGED, control.__loader__)"
    )
    changed, loader, *_ = python(tree, ENTER + later)
    assert (changed, loader) == ("True", "<wharfie.door.Finder")
    # the file went, and the next start made another
    assert not list((tree / "wharfie/runtime/__pycache__").glob("*.modules"))
    assert version(tree)[0] == "miss"
    assert version(tree)[0] == "hit"


def test_a_file_that_was_made_anew_meanwhile_is_left_alone(tree: Path) -> None:
    version(tree)
    program = (
        "from wharfie import door; import os, sys; sys.argv = []; door.use('runtime'); "
        "from wharfie.support import modulefile; path = door.path_of('runtime'); "
        "made = modulefile.make('runtime', path); before = os.stat(path); "
        "from wharfie.runtime import views; print(type(views.__loader__).__name__, os.stat(path) == before)"
    )
    assert python(tree, ENTER + program) == ["SourceFileLoader", "True"]


def test_every_command_has_what_it_needs_in_the_right_order(tree: Path) -> None:
    """Else an import would ask the finder."""
    program = (
        "from wharfie import door; import sys; asked = []; found = door.Finder.find_spec\n"
        "door.Finder.find_spec = lambda self, name, *rest: asked.append(name) or found(self, name, *rest)\n"
        "sys.argv = [sys.argv[2]]; door.use(DOOR)\n"
        "print(*[name for name in asked if name.partition('.')[0] == 'wharfie'])\n"
        "print('|', *sys.modules)"
    )
    for door, command, module in (
        ("runtime", "run", "wharfie.runtime.parent"),
        ("runtime", "exec", "wharfie.runtime.join"),
        ("runtime", "delete", "wharfie.runtime.control"),
        ("cli", "run", "wharfie.cli.run"),
        ("cli", "rm", "wharfie.cli.lifecycle"),
    ):
        call = program.replace("DOOR", repr(door))
        python(tree, ENTER + call, "", command)
        asked, loaded = " ".join(python(tree, ENTER + call, "", command)).split("|")
        assert asked == ""
        assert module in loaded.split()


def test_a_module_is_what_an_import_makes_of_it(tree: Path) -> None:
    version(tree)
    show = (
        "import sys; sys.argv = ['exec']; from wharfie import door; USE\n"
        "import wharfie.runtime.cgroups.base as module, wharfie.runtime.cgroups as package\n"
        "from wharfie.runtime import cgroups\n"
        "for one in (module, package):\n"
        "    print(one.__name__, one.__package__, one.__file__, one.__spec__.name, one.__spec__.parent,\n"
        "          one.__spec__.origin,\n"
        "          getattr(one, '__path__', None), one.__loader__ is one.__spec__.loader,\n"
        "          sep='\\n')\n"
        "print(sys.modules['wharfie'].runtime.cgroups is cgroups is package, package.base is module)"
    )
    ours = python(tree, ENTER + show.replace("USE", "door.use('runtime')"))
    assert ours == python(tree, ENTER + show.replace("USE", ""))


def test_a_module_that_is_there_already_stays(tree: Path) -> None:
    version(tree)
    show = (
        "import wharfie.runtime.cli as before; from wharfie import door; door.use('runtime'); "
        "from wharfie.runtime import cli; print(cli is before is sys.modules['wharfie.runtime.cli'])"
    )
    assert python(tree, ENTER + show) == ["True"]


SHOW_EXTENSIONS = (
    "import _json, _ctypes\n"
    "for one in (_json, _ctypes):\n"
    "    spec = one.__spec__\n"
    "    print(getattr(one, '__file__', None), type(one.__loader__), spec.origin, spec.has_location)"
)


def test_an_extension_is_what_an_import_makes_of_it(tree: Path) -> None:
    version(tree)
    use = "from wharfie import door; door.use('runtime')\n"
    assert python(tree, ENTER + use + SHOW_EXTENSIONS) == python(tree, ENTER + SHOW_EXTENSIONS)


def test_an_extension_is_taken_from_where_this_interpreter_would_look(tree: Path) -> None:
    (tree / "one.so").write_text("")
    (tree / "wharfie" / "two.so").write_text("")
    ask = (
        "from wharfie import door; door.use('runtime'); finder = sys.meta_path[0]; here = sys.path[0]\n"
        "places = {'one': '/one.so', 'gone': '/gone.so', 'two': '/wharfie/two.so'}\n"
        "finder._extensions = {name: here + place for name, place in places.items()}\n"
        "print(*[bool(finder.find_spec(name)) for name in places])"
    )
    assert python(tree, ENTER + ask) == ["True", "False", "False"]


@pytest.mark.parametrize(("launcher", "program"), [("wharfie-runtime", "runtime"), ("wharfie", "cli")])
def test_a_launcher_reads_no_directory_to_find_modules(tmp_path: Path, launcher: str, program: str) -> None:
    packages = tmp_path / f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    copy(packages / "wharfie")
    script = (SOURCE.parents[1] / "scripts" / launcher).read_text()
    boot = script.split("-I -S -c '")[1].split("' \"$bin")[0]
    begun, _, call = boot.rpartition("\n")
    assert call == f"door.{launcher.removeprefix('wharfie-')}()"
    show = f"import wharfie.{program}.{{}}; print(*sys.path_importer_cache)"
    module = "join" if program == "runtime" else "exec"
    words = [sys.executable, "-I", "-S", "-c", f"{begun}\ndoor.use({program!r})\n{show.format(module)}"]
    for _ in range(2):
        done = subprocess.run([*words, str(tmp_path), "exec"], check=True, capture_output=True, text=True)
    assert str(packages) not in done.stdout.split()
    assert str(packages / "wharfie") not in done.stdout.split()


def test_no_descriptor_of_it_is_left_open(tree: Path) -> None:
    version(tree)
    show = (
        "import os; before = os.listdir('/proc/self/fd'); from wharfie import door; door.use('runtime'); "
        "from wharfie.runtime import views; print(os.listdir('/proc/self/fd') == before)"
    )
    assert python(tree, ENTER + show) == ["True"]


@pytest.mark.parametrize("length", [12, 4000, -1000])
def test_a_file_that_was_cut_off_is_replaced(tree: Path, length: int) -> None:
    version(tree)
    content = kept(tree).read_bytes()
    kept(tree).write_bytes(content[:length])
    # the end of it is a module that this command does not need
    assert version(tree)[:2] == ["hit" if length < 0 else "miss", "wharfie-runtime"]
    later = "from wharfie import door; door.use('runtime'); import wharfie.runtime.NAME; print('there')"
    for name in ("views", "cgroups.v2"):
        assert python(tree, ENTER + later.replace("NAME", name)) == ["there"]


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\xe9\x00\x00\x00\x00", b")\x02NN"])
def test_a_broken_one_is_replaced(tree: Path, content: bytes) -> None:
    version(tree)
    kept(tree).write_bytes(content)
    assert version(tree)[:2] == ["miss", "wharfie-runtime"]
    assert version(tree)[0] == "hit"


def test_the_tree_may_move(tree: Path, tmp_path: Path) -> None:
    version(tree)
    os.rename(tree / "wharfie", tmp_path / "moving")
    (tmp_path / "elsewhere").mkdir()
    os.rename(tmp_path / "moving", tmp_path / "elsewhere" / "wharfie")
    assert version(tmp_path / "elsewhere")[:2] == ["hit", "wharfie-runtime"]


def test_where_it_cannot_be_kept_modules_load_one_by_one(tree: Path) -> None:
    version(tree)
    kept(tree).unlink()
    # in the way of the file that would be renamed, whoever may write
    directory = tree / "wharfie/runtime/__pycache__"
    shutil.rmtree(directory)
    directory.write_text("")
    assert version(tree)[:2] == ["miss", "wharfie-runtime"]


def test_who_may_not_keep_it_does_not_pay_for_making_it(tree: Path) -> None:
    show = (
        "import posix; posix.access = lambda path, mode: mode != posix.W_OK; from wharfie import door; "
        "door.use('runtime'); import wharfie.runtime.cli; print('wharfie.support.modulefile' in sys.modules)"
    )
    assert python(tree, ENTER + show) == ["False"]
    assert not list((tree / "wharfie/runtime/__pycache__").glob("*.modules"))
