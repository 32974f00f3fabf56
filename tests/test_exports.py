"""What is public says what it is, and no room of the house sees more than it needs."""

from __future__ import annotations

import ast
import dataclasses
import graphlib
import importlib
import inspect
import pkgutil
import re
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
    "_doors": {"_core", "_drive", "_telemetry"},
    "errors": {"_doors"},
    "telemetry": {"_telemetry"},
    "middleware": {"_core", "_doors", "_drive"},
    "transport": {"_core", "_doors", "_drive"},
    "unbroken": {"_core", "_doors", "_drive", "errors", "middleware"},
    "testing": set(),
    "_cli": {"unbroken", "telemetry", "testing"},
    "__main__": {"_cli"},
}

# Which modules may import a library.
LIBRARIES = {
    "anthropic": {
        "_cli",
        "_doors.http",
        "_doors.interrupted",
        "_doors.report",
        "_doors.sdk",
        "_doors.sdk_facts",
        "_doors.transport",
        "_telemetry.log",
        "middleware",
        "transport",
    },
    "anyio": {"_drive.clock", "_drive.limit"},
    "httpx": {"transport"},
    "httpx2": {"_doors.responses", "transport"},
    "opentelemetry": {"_doors.setup", "_telemetry", "middleware", "transport"},
    "pytest": {"testing.pytest_plugin"},
    "tenacity": {"_core.backoff", "_core.rules"},
}


def modules() -> list[str]:
    """The modules of the package, named from its root."""
    found = pkgutil.walk_packages([str(ROOT)], "unbroken.")
    return [module.name.removeprefix("unbroken.") for module in found]


def tree(module: str) -> ast.Module:
    path = ROOT if module == "unbroken" else ROOT.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text(encoding="utf-8"))


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
    public = {name for name, value in vars(package).items() if not name.startswith("_")}
    loaded = {name for name in public if isinstance(getattr(package, name), ModuleType)}
    assert public - loaded <= set(package.__all__) <= public
    assert list(package.__all__) == sorted(package.__all__)


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


@pytest.mark.parametrize("name", unbroken.__all__)
def test_every_field_is_described(name):
    thing: type[Any] = getattr(unbroken, name)
    if dataclasses.is_dataclass(thing):
        own = inspect.get_annotations(thing)
        missing = [f for f in own if not re.search(rf"^ +{f}: ", thing.__doc__ or "", re.MULTILINE)]
        assert missing == []


@pytest.mark.parametrize("name", unbroken.__all__)
def test_every_parameter_is_described(name):
    thing = getattr(unbroken, name)
    if dataclasses.is_dataclass(thing) or name in ("FailureKind", "AttemptKind", "Outcome"):
        return
    doc = thing.__doc__ or ""
    if "Args:" in doc:
        for parameter in inspect.signature(thing).parameters:
            assert re.search(rf"^ +{parameter}: ", doc, re.MULTILINE), parameter
