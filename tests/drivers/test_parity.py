"""What exists for threads and for tasks is one text, without `async`, `await` and the lock."""

from __future__ import annotations

import ast
import difflib
from pathlib import Path

import pytest

from unbroken import middleware, transport
from unbroken._doors import observers, sdk, upstream
from unbroken._doors import transport as transport_door
from unbroken._drive import aio, body, clock, ports, sync

# How `aio` names what `sync` names otherwise, besides the `Async` at the beginning of a name.
RENAMED = {
    "AsyncIterator": "Iterator",
    "SystemAsyncClock": "SystemClock",
    "StopAsyncIteration": "StopIteration",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
    "_answer_async": "_answer",
    "_async_nothing": "_nothing",
    "aclose": "close",
    "aiter": "iter",
    "aiter_bytes": "iter_bytes",
    "aiter_raw": "iter_raw",
    "anext": "next",
    "aread": "read",
    "async_clock": "clock",
    "async_driver": "driver",
    "handle_async": "handle",
    "handle_async_request": "handle_request",
}


def renamed(name: str) -> str:
    return RENAMED.get(name) or name.removeprefix("Async")


class ToSync(ast.NodeTransformer):
    """Drops `async`, `await` and the lock, and docstrings, as they speak of threads or tasks."""

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        parts = {field: getattr(node, field) for field in node._fields}
        return self.visit_FunctionDef(ast.copy_location(ast.FunctionDef(**parts), node))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.name = renamed(node.name)
        if ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        return self.generic_visit(node)

    def visit_Await(self, node: ast.Await) -> ast.AST:
        inner: ast.AST = self.visit(node.value)
        return inner

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.AST:
        parts = {field: getattr(node, field) for field in node._fields}
        return self.generic_visit(ast.copy_location(ast.For(**parts), node))

    def visit_With(self, node: ast.With) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        return node.body if ast.unparse(node.items[0]) == "self._lock" else node

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        self.generic_visit(node)
        return None if ast.unparse(node.targets[0]) == "self._lock" else node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        node.attr = renamed(node.attr)
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = renamed(node.id)
        return node


def functions(module: object, name: str) -> dict[str, list[str]]:
    """The lines of each function of a class, as they are in `sync`."""
    path = getattr(module, "__file__", None)
    assert isinstance(path, str)
    tree = ast.parse(Path(path).read_text())
    (found,) = (n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == name)
    same = ToSync().visit(found)
    return {
        node.name: ast.unparse(ast.fix_missing_locations(node)).splitlines()
        for node in same.body
        if isinstance(node, ast.FunctionDef)
    }


def differences(left: object, right: object, name: str, only_async: set[str]) -> str:
    """Where the class in `left`, for tasks, differs from the one in `right`, for threads."""
    return _differences(functions(left, name), functions(right, renamed(name)), only_async)


def _differences(
    for_tasks: dict[str, list[str]], for_threads: dict[str, list[str]], only_async: set[str]
) -> str:
    assert only_async <= for_tasks.keys(), "the list of exceptions is out of date"
    for_tasks = {name: lines for name, lines in for_tasks.items() if name not in only_async}
    order = [f"{list(for_tasks)} and {list(for_threads)}"] if [*for_tasks] != [*for_threads] else []
    lines = [
        line
        for function in for_tasks.keys() & for_threads.keys()
        for line in difflib.unified_diff(
            for_tasks[function], for_threads[function], "aio", "sync", n=1, lineterm=""
        )
    ]
    return "\n".join([*order, *lines])


@pytest.mark.parametrize(
    ("left", "right", "name", "only_async"),
    [
        pytest.param(ports, ports, "AsyncObserver", {"notify_now"}, id="observer"),
        pytest.param(ports, ports, "AsyncDoor", set(), id="door"),
        pytest.param(ports, ports, "AsyncUpstream", set(), id="upstream"),
        pytest.param(ports, ports, "AsyncBudget", set(), id="budget"),
        pytest.param(sdk, sdk, "AsyncSdkDoor", set(), id="door of the SDK"),
        pytest.param(
            transport_door, transport_door, "AsyncTransportDoor", set(), id="door of a transport"
        ),
        pytest.param(transport, transport, "AsyncRecoveryTransport", set(), id="transport"),
        pytest.param(clock, clock, "AsyncClock", set(), id="clock"),
        pytest.param(clock, clock, "SystemAsyncClock", set(), id="system clock"),
    ],
)
def test_threads_and_tasks_get_the_same(left, right, name, only_async):
    assert differences(left, right, name, only_async) == ""


@pytest.mark.parametrize(
    ("module", "name", "only_async", "unlike"),
    [
        # What cannot be awaited is written off: only tasks can be without an event loop.
        pytest.param(aio, "AsyncDriver", set(), {"finish"}, id="driver"),
        # A thread that reads is woken by its socket, a task by its generator.
        pytest.param(upstream, "AsyncHttpUpstream", set(), {"close", "abort"}, id="upstream"),
        # Coroutine functions are awaited.
        pytest.param(observers, "AsyncCallObserver", set(), {"notify"}, id="observer"),
    ],
)
def test_what_must_be_unlike_is_known(module, name, only_async, unlike):
    other = sync if module is aio else module
    for_tasks, for_threads = functions(module, name), functions(other, renamed(name))
    for function in unlike:
        assert for_tasks.pop(function) != for_threads.pop(function)
    assert _differences(for_tasks, for_threads, only_async) == ""


def test_the_middleware_handles_both_in_the_same_way():
    source = Path(str(middleware.__file__)).read_text()
    (cls,) = (
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef) and node.name == "RecoveryMiddleware"
    )
    found = {getattr(node, "name", ""): node for node in cls.body}
    texts = [
        ast.unparse(ast.fix_missing_locations(ToSync().visit(found[name])))
        for name in ("handle", "handle_async", "_answer", "_answer_async")
    ]
    assert texts[0::2] == texts[1::2]


def test_bodies_are_the_same():
    assert functions(body, "AsyncBody") == functions(body, "Body")


def test_a_difference_is_told_with_its_place(tmp_path):
    source = Path(str(aio.__file__)).read_text()
    (tmp_path / "other.py").write_text(source.replace("self._closing = True", "pass"))

    class Other:
        __file__ = str(tmp_path / "other.py")

    found = differences(Other, sync, "AsyncDriver", set())
    assert "-    pass" in found
    assert "+    self._closing = True" in found
