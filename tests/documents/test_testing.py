"""The reference of `unbroken.testing` names what is there, and all of it."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING

import pytest
from tests.documents.markdown import TESTING, code_in, names_in

from unbroken.testing import ChaosTransport, FaultServer, answers, chaos, faults, voices
from unbroken.testing.faults import Where
from unbroken.testing.server import Request

if TYPE_CHECKING:
    from types import ModuleType


def functions(module: ModuleType) -> set[str]:
    found = ((name, getattr(module, name)) for name in module.__all__)
    return {name for name, value in found if callable(value) and not inspect.isclass(value)} - {
        "Voice"
    }


@pytest.mark.parametrize(
    ("title", "module"), [("Faults", faults), ("Voices", voices), ("Answers", answers)]
)
def test_every_function_is_listed(title, module):
    lists = TESTING.section(title).partition("\n| ")[0].split("\n- ")[1:]
    named = names_in(" ".join(lists))
    listed = functions(module)
    assert listed - named == set()
    assert {name for name in named if name.islower()} - listed <= {
        "error_event",
        "stop_reason",
        "stop_sequence",
        "stop_details",
    }


def test_every_place_is_listed():
    assert {code_in(row[0]) for row in TESTING.table("place")} == set(Where.__annotations__)


def test_every_argument_of_the_server_is_listed_with_its_default():
    rows = {code_in(row[0]): code_in(row[1]) for row in TESTING.table("argument of `FaultServer`")}
    parameters = inspect.signature(FaultServer).parameters.values()
    assert list(rows) == [parameter.name for parameter in parameters]
    for parameter in parameters:
        assert eval(rows[parameter.name], {"voices": voices}) == parameter.default


def test_every_argument_of_chaos_is_listed_with_its_default():
    rows = {code_in(r[0]): r[1] for r in TESTING.table("argument of `ChaosTransport`")}
    parameters = dict(inspect.signature(ChaosTransport.__init__).parameters)
    del parameters["self"]
    assert list(rows) == list(parameters)
    assert rows.pop("kinds") == "all"
    assert parameters.pop("kinds").default == tuple(chaos.KINDS)
    assert rows.pop("inner") == ""
    for name, cell in rows.items():
        assert eval(code_in(cell)) == parameters[name].default


def test_every_public_member_of_the_server_is_listed():
    cells = " ".join(row[0] for row in TESTING.table("property or method"))
    named = set(re.findall(r"`(\w+)(?:\(\))?`", cells))
    public = {name for name in vars(FaultServer) if not name.startswith("_")}
    # `with` starts and closes it; the text names the others.
    assert public - named == {"answer", "voice", "script", "start", "close"}
    assert named <= public


def test_every_kind_of_request_is_named():
    kinds = re.findall(r"'(\w+)'", Request.__annotations__["kind"])
    assert kinds
    section = TESTING.section("The server")
    assert [kind for kind in kinds if f"`{kind}`" not in section] == []
