"""Runs the Python blocks of documents."""

from __future__ import annotations

from typing import Any

import pytest

OWN_LIBRARIES = {"anthropic", "unbroken", "tenacity", "pytest"}


def run(path: str, *blocks: str) -> dict[str, Any]:
    """Run blocks of one document in one namespace, and return it."""
    namespace: dict[str, Any] = {"__name__": "document"}
    for code in blocks:
        try:
            exec(compile(code, path, "exec"), namespace)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] in OWN_LIBRARIES:
                raise
            pytest.skip(f"{error.name} is not installed")
    return namespace
