"""The reference of the command names its commands and their options."""

from __future__ import annotations

import re

import pytest
from tests.documents.markdown import COMMAND, code_in

from unbroken._cli import main as command
from unbroken._cli.doctor.examination import BOUNDARIES


def help_of(capsys, *arguments: str) -> str:
    with pytest.raises(SystemExit, match=r"^0$"):
        command.main([*arguments, "--help"])
    return capsys.readouterr().out


def test_every_command_has_a_section(capsys):
    [commands] = re.findall(r"\{([\w,]+)\}", help_of(capsys))[:1]
    titles = re.findall(r"^## `unbroken (\w+)`$", COMMAND.text, re.MULTILINE)
    assert sorted(titles) == sorted(commands.split(","))


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("demo", "option"),
        ("doctor", "option of `doctor`"),
        ("drill", "option of `drill`"),
    ],
)
def test_every_option_is_listed(capsys, name, header):
    shown = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", help_of(capsys, name))) - {"--help", "-h"}
    listed = [code_in(row[0]).split()[0] for row in COMMAND.table(header)]
    assert set(listed) == shown


def test_every_boundary_is_listed():
    listed = [code_in(row[0]) for row in COMMAND.table("boundary")]
    assert listed == [boundary.name for boundary in BOUNDARIES]
