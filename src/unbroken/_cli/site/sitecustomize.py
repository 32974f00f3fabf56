"""Installs the middleware in the Python processes that a program under `unbroken run` starts.

Python imports a module of this name when it starts; its folder is in their `PYTHONPATH`.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

__all__: list[str] = []


class _WithTheSdk(MetaPathFinder):
    """Installs the middleware once the SDK is imported, as many processes never do."""

    def find_spec(self, fullname: str, *_: Any) -> ModuleSpec | None:
        if fullname != "anthropic":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        # A program may start the Python of another environment.
        if spec is not None and spec.loader is not None and importlib.util.find_spec("unbroken"):
            _install_after(spec.loader)
        return spec


def _install_after(loader: Any) -> None:
    execute = loader.exec_module

    def execute_and_install(module: Any) -> None:
        execute(module)
        importlib.import_module("unbroken").install()

    loader.exec_module = execute_and_install


def _run_the_hidden_one() -> None:
    """Run the `sitecustomize` that would be imported without this one."""
    here = os.path.dirname(os.path.abspath(__file__))
    spec = PathFinder.find_spec(
        "sitecustomize", [path for path in sys.path if os.path.abspath(path) != here]
    )
    if spec is not None and spec.loader is not None:
        sys.modules["sitecustomize"] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)


sys.meta_path.insert(0, _WithTheSdk())
_run_the_hidden_one()
