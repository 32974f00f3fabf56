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

# What a room may import besides the standard library.
FLOORS = {
    "_core": {"unbroken._core", "tenacity"},
    "_drive": {"unbroken._core", "unbroken._drive", "anyio"},
    "_telemetry": {"unbroken._core", "unbroken._telemetry", "anthropic", "opentelemetry"},
    "testing": {"unbroken.testing", "pytest"},
}

# Who may import what.
VISITORS = {
    "anthropic": {
        "_http",
        "_report",
        "_sdk",
        "_sdk_clients",
        "_sdk_door",
        "_telemetry.log",
        "_transport_door",
        "cli",
        "errors",
        "middleware",
        "transport",
    },
    "opentelemetry": {"_telemetry", "telemetry"},
    "pytest": {"testing.pytest_plugin"},
    "tenacity": {"_core.backoff", "_core.rules"},
    "unbroken._cli": {"_cli", "cli"},
    "unbroken.cli": {"__main__"},
    "unbroken.testing": {"cli", "testing"},
}


def modules() -> list[str]:
    """The modules of the package, named from its root."""
    found = pkgutil.walk_packages([str(ROOT)], "unbroken.")
    return [module.name.removeprefix("unbroken.") for module in found]


def tree(module: str) -> ast.Module:
    path = ROOT.joinpath(*module.split("."))
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


@pytest.mark.parametrize("module", modules())
def test_lower_floors_do_not_see_higher_ones(module):
    room = module.partition(".")[0]
    for name in imported(ast.walk(tree(module))):
        if room in FLOORS and name.partition(".")[0] not in sys.stdlib_module_names:
            assert is_in(name, FLOORS[room]), f"{module} imports {name}"


@pytest.mark.parametrize("module", modules())
def test_libraries_are_imported_where_they_belong(module):
    for name in imported(ast.walk(tree(module))):
        for library, allowed in VISITORS.items():
            if is_in(name, [library]):
                assert is_in(module, allowed), f"{module} imports {name}"


def test_no_module_needs_itself():
    graph = {f"unbroken.{name}": set(imported(at_import(tree(name)))) for name in modules()}
    graphlib.TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("module", [name for name in modules() if is_in(name, ["cli", "_cli"])])
def test_the_command_uses_public_names_only(module):
    for name in imported(ast.walk(tree(module))):
        assert "._" not in name.removeprefix("unbroken._cli")


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
