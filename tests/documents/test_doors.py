"""The reference of clients and transports holds what reports and errors hold."""

from __future__ import annotations

import dataclasses

from tests.documents.markdown import DOORS, code_in

import unbroken
from unbroken import errors


def test_every_field_of_a_report_is_listed():
    fields = {field.name for field in dataclasses.fields(unbroken.RecoveryReport)}
    assert {code_in(row[0]) for row in DOORS.table("attribute")} == {*fields, "recovered"}


def test_the_errors_are_those_of_the_module():
    drawn = [line.split()[-len(line.split()) :] for line in DOORS.section("Reports").splitlines()]
    names = {word for line in drawn for word in line if word.startswith("unbroken.")}
    assert {f"unbroken.{name}" for name in errors.__all__} <= names
