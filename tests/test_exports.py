"""What is public says what it is, and no room of the house sees more than it needs."""

from __future__ import annotations

import ast
import dataclasses
import enum
import graphlib
import importlib
import inspect
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

import unbroken
import unbroken.testing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(unbroken.__file__).parent

# Which rooms a room may import. Of two rooms, the lower one never imports the higher one.
ROOMS: dict[str, set[str]] = {
    "_core": set(),
    "_drive": {"_core"},
    "_telemetry": {"_core"},
    "_doors": {"_core", "_drive", "_telemetry", "journal"},
    "journal": {"_core"},
    "errors": {"_doors"},
    "fleet": {"_core"},
    "telemetry": {"_doors", "_telemetry"},
    "middleware": {"_core", "_doors", "_drive", "journal"},
    "transport": {"_core", "_doors", "_drive", "journal"},
    "_install": {"_core", "_doors", "journal", "middleware"},
    "unbroken": {
        "_core",
        "_doors",
        "_drive",
        "_install",
        "errors",
        "fleet",
        "journal",
        "middleware",
        "telemetry",
        "testing",
        "transport",
    },
    "testing": {"_doors"},
    "gateway": {"_core", "_doors", "_drive", "journal"},
    "_cli": {"gateway", "journal", "unbroken", "telemetry", "testing"},
    "__main__": {"_cli"},
}

# Which modules may import a library.
LIBRARIES = {
    "anthropic": {
        "_cli",
        "_doors.http",
        "_doors.interrupted",
        "_doors.plain",
        "_doors.report",
        "_doors.sdk",
        "_doors.sdk_clients",
        "_doors.sdk_facts",
        "_doors.transport",
        "_telemetry.log",
        "middleware",
        "transport",
    },
    "anyio": {"_drive.clock", "_drive.limit", "_doors.upstream", "journal", "testing.chaos"},
    "certifi": {"_cli.doctor.network"},
    "httpx": {"gateway", "testing.chaos", "transport"},
    "httpx2": {"_doors.responses", "testing.chaos", "transport"},
    "opentelemetry": {"_doors.setup", "gateway", "_telemetry", "middleware", "transport"},
    "platformdirs": {"gateway.server"},
    "pytest": {"testing.pytest_plugin"},
    "redis": {"fleet", "journal.redis"},
    "starlette": {"gateway"},
    "tenacity": {"_core.backoff", "_core.rules"},
    "uvicorn": {"gateway.connections", "gateway.server"},
}


def modules() -> list[str]:
    """The modules of the package, named from its root."""
    found = pkgutil.walk_packages([str(ROOT)], "unbroken.")
    return [module.name.removeprefix("unbroken.") for module in found]


def tree(module: str) -> ast.Module:
    path = ROOT if module == "unbroken" else ROOT.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text(encoding="utf-8"))


def tree_of(package: ModuleType) -> ast.Module:
    return ast.parse(inspect.getsource(package))


def is_typing_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def at_import(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that are run when a module is imported."""
    for child in ast.iter_child_nodes(node):
        if not is_typing_only(child) and not isinstance(child, ast.FunctionDef):
            yield child
            yield from at_import(child)


def imported(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """The full names of the modules that are imported."""
    ours = {f"unbroken.{name}" for name in modules()}
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "say where from"
            assert node.module is not None
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            yield from names & ours
            if not names <= ours:
                yield node.module


def is_in(name: str, rooms: Iterable[str]) -> bool:
    return any(name == room or name.startswith(f"{room}.") for room in rooms)


def room_of(name: str) -> str:
    """The room of a module, named from the root of the package."""
    return name.partition(".")[0]


def rooms_seen(module: str) -> set[str]:
    """The rooms that a module imports, besides its own."""
    full = "unbroken" if module == "unbroken" else f"unbroken.{module}"
    names = set(imported(ast.walk(tree(module)))) - {full}
    ours = [name for name in names if is_in(name, ["unbroken"])]
    seen = {room_of(name.removeprefix("unbroken.")) for name in ours}
    return seen - {room_of(module)}


@pytest.mark.parametrize("module", ["unbroken", *modules()])
def test_a_room_imports_only_the_rooms_below_it(module):
    assert rooms_seen(module) <= ROOMS[room_of(module)]


def test_no_room_may_import_a_room_above_it():
    graphlib.TopologicalSorter(ROOMS).prepare()


def test_every_room_is_listed():
    assert ROOMS.keys() == {room_of(name) for name in modules()} | {"unbroken"}
    seen = {room: set[str]() for room in ROOMS}
    for module in ["unbroken", *modules()]:
        seen[room_of(module)] |= rooms_seen(module)
    assert seen == ROOMS, "what no module needs is not allowed"


@pytest.mark.parametrize("module", modules())
def test_the_frames_know_nothing_of_what_they_carry(module):
    if module.startswith("_core.framing"):
        for name in imported(ast.walk(tree(module))):
            assert is_in(name, ["unbroken._core.framing"]) or not is_in(name, ["unbroken"])


@pytest.mark.parametrize("module", modules())
def test_libraries_are_imported_where_they_belong(module):
    for name in imported(ast.walk(tree(module))):
        library = name.partition(".")[0]
        if library not in sys.stdlib_module_names and library != "unbroken":
            assert is_in(module, LIBRARIES[library]), f"{module} imports {name}"


def test_no_module_needs_itself():
    graph = {f"unbroken.{name}": set(imported(at_import(tree(name)))) for name in modules()}
    graphlib.TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("module", [name for name in modules() if room_of(name) == "_cli"])
def test_the_command_uses_public_names_only(module):
    for name in imported(ast.walk(tree(module))):
        assert "._" not in name or is_in(name, ["unbroken._cli"])


# Names


def public_modules() -> list[str]:
    names = (f"unbroken.{name}" for name in modules())
    return ["unbroken", *(name for name in names if "._" not in name and "__" not in name)]


def members(name: str) -> dict[str, Any]:
    module = importlib.import_module(name)
    return {member: getattr(module, member) for member in module.__all__}


@pytest.mark.parametrize("package", [unbroken, unbroken.testing])
def test_all_is_the_public_namespace(package):
    loaded = {name: getattr(package, name) for name in package.__all__}
    public = {name for name in vars(package) if not name.startswith("_")} - {"TYPE_CHECKING"}
    modules = {name for name in public if isinstance(getattr(package, name), ModuleType)}
    assert public - modules <= loaded.keys() <= set(dir(package)) & public
    assert list(package.__all__) == sorted(package.__all__)


@pytest.mark.parametrize("package", [unbroken, unbroken.testing])
def test_each_name_is_imported_from_where_type_checkers_see_it(package):
    typing_only = [node for node in tree_of(package).body if is_typing_only(node)]
    seen = {
        alias.name: f"{node.module}"
        for node in ast.walk(typing_only[0])
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    for module in getattr(package, "_MODULES", ()):
        assert seen.pop(module) == "unbroken"
    at_run_time = {name: f"{package.__name__}.{home}" for name, home in package._HOMES.items()}
    assert {name: seen[name] for name in at_run_time} == at_run_time
    assert seen.keys() == set(package.__all__)


@pytest.mark.parametrize("package", [unbroken, unbroken.testing])
def test_there_are_no_other_names(package):
    with pytest.raises(AttributeError, match="no attribute 'warp'"):
        _ = package.warp


def test_every_public_module_is_an_attribute():
    for name in ("errors", "middleware", "telemetry", "testing", "transport"):
        assert getattr(unbroken, name) is sys.modules[f"unbroken.{name}"]
    assert re.match(r"\d+\.\d+", unbroken.__version__)


@pytest.mark.parametrize("name", public_modules())
def test_every_module_says_what_is_public(name):
    assert set(members(name)) <= set(dir(importlib.import_module(name)))


def documented(name: str, thing: Any) -> Iterator[tuple[str, Any]]:
    """What is public in a public name: itself, its methods and its properties."""
    yield name, thing
    if inspect.isclass(thing):
        fields = getattr(thing, "__dataclass_fields__", {})
        for member, value in vars(thing).items():
            is_code = inspect.isfunction(value) or isinstance(value, property | classmethod)
            if is_code and not member.startswith("_") and member not in fields:
                yield f"{name}.{member}", value


def public_code(name: str) -> list[tuple[str, Any]]:
    things = [
        (f"{name}.{member}", value)
        for member, value in members(name).items()
        if inspect.isclass(value) or inspect.isfunction(value)
    ]
    return [each for thing in things for each in documented(*thing)]


@pytest.mark.parametrize("name", public_modules())
def test_every_public_name_has_a_docstring(name):
    assert importlib.import_module(name).__doc__
    bare = [full for full, value in public_code(name) if not (value.__doc__ or "").strip()]
    assert bare == []


def described(doc: str | None) -> set[str]:
    """The names that a docstring says something about."""
    return set(re.findall(r"^ +(\w+): \S", doc or "", re.MULTILINE))


def dataclasses_in(name: str) -> list[str]:
    return [member for member, value in members(name).items() if dataclasses.is_dataclass(value)]


@pytest.mark.parametrize("name", dataclasses_in("unbroken"))
def test_every_field_is_described(name):
    thing = getattr(unbroken, name)
    assert set(inspect.get_annotations(thing)) <= described(thing.__doc__)


def is_constructed(thing: Any) -> bool:
    """Whether it is a class with a constructor that somebody wrote, and no error."""
    if not inspect.isclass(thing) or issubclass(thing, Exception | enum.Enum):
        return False
    return thing.__init__ is not object.__init__ and not dataclasses.is_dataclass(thing)


def with_parameters(name: str) -> list[Any]:
    """The functions and constructors of a module that an application calls with something."""
    found = []
    for member, value in members(name).items():
        called = inspect.isfunction(value) and bool(inspect.signature(value).parameters)
        if called or is_constructed(value):
            found.append(pytest.param(value, id=f"{name}.{member}"))
    return found


USED_BY_HAND = ("unbroken", "unbroken.telemetry", "unbroken.testing", "unbroken.transport")


@pytest.mark.parametrize("thing", [p for name in USED_BY_HAND for p in with_parameters(name)])
def test_every_parameter_is_described(thing):
    called = thing.__init__ if inspect.isclass(thing) else thing
    parameters = inspect.signature(called).parameters.keys() - {"self"}
    assert parameters
    assert parameters <= described(thing.__doc__)


# What an import costs


def test_an_import_of_the_package_imports_nothing_else():
    code = (
        "import sys; before = set(sys.modules); import unbroken; print(*set(sys.modules) - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert {name for name in done.stdout.split() if not is_in(name, sys.stdlib_module_names)} == {
        "unbroken"
    }


RUN_WITHOUT_THE_SDK = """
import sys

def test_the_plugin_is_there_and_nothing_else(request):
    assert request.config.pluginmanager.has_plugin("unbroken")
    loaded = {name for name in sys.modules if name.partition(".")[0] in {"anthropic", "unbroken"}}
    assert loaded == {"unbroken", "unbroken.testing", "unbroken.testing.pytest_plugin"}

def test_its_fixture_works(fault_server):
    assert fault_server.url
    assert "anthropic" not in sys.modules
"""


def test_pytest_does_not_import_the_sdk_for_the_plugin(tmp_path):
    tmp_path.joinpath("test_it.py").write_text(RUN_WITHOUT_THE_SDK)
    command = [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", str(tmp_path)]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", str(tmp_path)],
        capture_output=True,
        check=False,
        cwd=tmp_path,
        encoding="utf-8",
        timeout=60,
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr
