"""The front page agrees with the code."""

from __future__ import annotations

import re
import signal

import anthropic
from tests.documents.markdown import FRONT_PAGE, ROOT, code_in
from tests.documents.running import run

import unbroken
from unbroken._cli.demo import ANSWER
from unbroken._core.seam.quote import MIN_TEXT
from unbroken.testing import faults, voices

FIRST = FRONT_PAGE.blocks()[0][1]


def test_the_first_example_recovers_from_what_the_demo_shows(api, capsys):
    api.answer = ANSWER
    api.voice = voices.follows_anchor
    api.script(faults.reset(after_chars=200), faults.eof(after_chars=300))
    namespace = run(FRONT_PAGE.path, FIRST)
    assert capsys.readouterr().out == ANSWER
    assert namespace["message"].content[0].text == ANSWER
    assert isinstance(namespace["client"], anthropic.Anthropic)


def test_every_kind_of_failure_is_listed_with_what_it_gets():
    rows = FRONT_PAGE.table("`FailureKind`")
    assert [code_in(row[0]) for row in rows] == [kind.name for kind in unbroken.FailureKind]
    rules = unbroken.Policy().rules
    for kind, _, gets in rows:
        rule = rules[unbroken.FailureKind[code_in(kind)]]
        assert rule.retry is not gets.startswith("fails at once"), kind


def test_the_defaults_of_the_limits_are_those_of_the_policy():
    section = FRONT_PAGE.section("Limits and presets")
    listed = dict(re.findall(r"`(\w+)`\s+\((\d+|`None`)", section))
    budget = re.search(r"`budget`: (\d+) retries", section)
    assert len(listed) == 7
    policy = unbroken.Policy()
    for field, value in listed.items():
        assert getattr(policy, field) == (None if value == "`None`" else float(value)), field
    assert budget is not None
    assert policy.budget is not None
    assert policy.budget.capacity == float(budget[1])


def test_the_longest_silences_are_those_of_the_policy():
    section = FRONT_PAGE.section("Limits and presets")
    listed = re.search(r"may\s+be silent for (\d+) s, with pings for (\d+) s", section)
    assert listed is not None
    worst = {case.trouble: case for case in unbroken.worst_cases(unbroken.Policy())}
    middle = ("streams fall silent in the middle", "streams only ping in the middle")
    assert [worst[name].longest_silence for name in middle] == [float(s) for s in listed.groups()]


def test_the_seam_is_described_as_it_is():
    section = FRONT_PAGE.section("How a response is resumed")
    assert f"fewer than {MIN_TEXT} characters" in section
    kinds = section.partition("names the proof: ")[2].partition(". ")[0]
    assert set(re.findall(r"`(\w+)`", kinds)) == set(unbroken.SeamKind)


def test_a_copy_for_a_tenant_recovers_with_its_own_key(api):
    [tenants] = [code for name, code in FRONT_PAGE.blocks() if "many clients" in name]
    namespace = run(FRONT_PAGE.path, FIRST, tenants)
    api.script(faults.reset(after_chars=5))
    before = len(api.message_requests)
    policy = unbroken.Policy(time_scale=0)
    with unbroken.override(policy):
        namespace["tenant"].messages.create(
            model="claude-sonnet-4-6", max_tokens=100, messages=[{"role": "user", "content": "Hi"}]
        )
    sent = api.message_requests[before:]
    # The header differs between the versions of the SDK.
    keys = [r.headers.get("x-api-key") or r.headers.get("authorization") for r in sent]
    assert [key.removeprefix("Bearer ") for key in keys] == ["key-of-the-tenant"] * 2


def test_sigterm_drains_and_then_does_what_it_did_before(api, monkeypatch):
    [servers] = [code for name, code in FRONT_PAGE.blocks() if "web server" in name]
    happened = []
    monkeypatch.setattr(unbroken, "drain", lambda *, timeout: happened.append(timeout))
    before = signal.signal(signal.SIGTERM, lambda *_: happened.append("before"))
    try:
        run(FRONT_PAGE.path, FIRST, servers)["drain_on_sigterm"]()
        signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert happened == [20, "before"]


def test_the_files_that_maintainers_need_are_there():
    section = FRONT_PAGE.section("Maintaining")
    for path in re.findall(r"`((?:tests|_core)/[\w/]+\.py)`", section):
        folder = ROOT if path.startswith("tests") else ROOT / "src" / "unbroken"
        assert folder.joinpath(path).exists(), path
    for room in re.findall(r"^\| `(\w+/)`", section, re.MULTILINE):
        assert ROOT.joinpath("src", "unbroken", room).is_dir(), room
