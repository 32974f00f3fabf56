"""`import unbroken` gives a type checker what it gives at run time: mypy checks this file, too."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, assert_type

import pytest

import unbroken

if TYPE_CHECKING:
    import anthropic

    from unbroken._telemetry.configure import Configuration


def test_the_modules_of_the_package_are_modules_to_a_type_checker():
    modules = {
        "errors": unbroken.errors,
        "middleware": unbroken.middleware,
        "telemetry": unbroken.telemetry,
        "testing": unbroken.testing,
        "transport": unbroken.transport,
    }
    assert_type(unbroken.telemetry, ModuleType)
    assert {name: module.__name__ for name, module in modules.items()} == {
        name: f"unbroken.{name}" for name in modules
    }


def test_names_in_modules_have_their_types():
    assert_type(unbroken.__version__, str)
    server = unbroken.testing.FaultServer()
    assert_type(server.active, int)
    assert server.active == 0


def configured() -> Configuration:
    """Never called: what it would return has a type."""
    return unbroken.telemetry.configure()


def wrapped(client: anthropic.Anthropic) -> anthropic.Anthropic:
    """Never called: a wrapped client is what it was."""
    return unbroken.wrap(client, unbroken.Policy.interactive(patience=20, deadline=60))


def test_a_name_that_is_not_there_is_an_error():
    with pytest.raises(AttributeError, match="module 'unbroken' has no attribute 'no_such_name'"):
        unbroken.no_such_name  # type: ignore[attr-defined]  # noqa: B018
