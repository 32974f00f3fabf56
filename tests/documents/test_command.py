"""The reference of the command names its commands and their options."""

from __future__ import annotations

import re

import pytest
from tests.documents.markdown import COMMAND, code_in

from unbroken._cli import main as command


def help_of(capsys, *arguments: str) -> str:
    with pytest.raises(SystemExit, match=r"^0$"):
        command.main([*arguments, "--help"])
    return capsys.readouterr().out


def test_every_command_has_a_section(capsys):
    [commands] = re.findall(r"\{([\w,]+)\}", help_of(capsys))[:1]
    titles = re.findall(r"^## `unbroken (\w+)`$", COMMAND.text, re.MULTILINE)
    assert sorted(titles) == sorted(commands.split(","))


def test_every_option_of_the_demo_is_listed(capsys):
    shown = set(re.findall(r"--[\w-]+", help_of(capsys, "demo"))) - {"--help"}
    listed = [code_in(row[0]).split()[0] for row in COMMAND.table("option")]
    assert set(listed) == shown
