from __future__ import annotations

import pytest

from unbroken._core.bounds import Bounds
from unbroken._core.cooldown import Cooldowns
from unbroken._core.failures import Failure, FailureKind
from unbroken._core.models import base_model, for_model
from unbroken._core.obstacles import Place, obstacle
from unbroken._core.policy import Policy
from unbroken._core.route import Candidate, Route

OWN = Candidate("own", "claude-opus-5-5", "own")
OTHER = Candidate("other", "claude-haiku-4-5", "other")
SAME = Candidate("same", "anthropic.claude-opus-5-5", "same")
POLICY = Policy()
HOUR = 3600.0


def route(*candidates: Candidate, cooldowns: Cooldowns | None = None) -> Route:
    made = Route(POLICY, candidates, cooldowns or Cooldowns())
    made.begin(0.0)
    return made


class TestTheChoice:
    def test_it_begins_with_the_callers_own(self) -> None:
        assert route(OWN, OTHER).target is OWN

    def test_a_short_wait_stays(self) -> None:
        chosen = route(OWN, OTHER)
        assert chosen.failed(FailureKind.RATE_LIMITED, POLICY.patience, 0.0) is None
        assert chosen.target is OWN

    def test_a_long_wait_goes_elsewhere_at_once(self) -> None:
        chosen = route(OWN, OTHER)
        assert chosen.failed(FailureKind.OVERLOADED, 45.0, 0.0) == 0.0
        assert chosen.target is OTHER

    @pytest.mark.parametrize("kind", [FailureKind.DROPPED, FailureKind.REQUEST_TIMEOUT])
    def test_what_another_target_shares_stays(self, kind) -> None:
        assert route(OWN, OTHER).failed(kind, HOUR, 0.0) is None

    def test_the_same_model_comes_first(self) -> None:
        chosen = route(OWN, OTHER, SAME)
        chosen.failed(FailureKind.OVERLOADED, 45.0, 0.0)
        assert chosen.target is SAME

    def test_where_all_cool_down_the_one_that_may_be_asked_first(self) -> None:
        chosen = route(OWN, OTHER)
        chosen.failed(FailureKind.OVERLOADED, 40.0, 0.0)
        assert chosen.failed(FailureKind.OVERLOADED, 60.0, 5.0) == 35.0
        assert chosen.target is OWN

    def test_a_target_stays_where_the_others_take_longer(self) -> None:
        chosen = route(OWN, OTHER)
        chosen.failed(FailureKind.OVERLOADED, 60.0, 0.0)
        assert chosen.failed(FailureKind.OVERLOADED, 30.0, 1.0) is None
        assert chosen.target is OTHER

    def test_one_that_refused_is_not_asked_again(self) -> None:
        chosen = route(OWN, OTHER)
        chosen.failed(FailureKind.OVERLOADED, 60.0, 0.0)
        assert chosen.refused(10.0) == 50.0
        assert chosen.target is OWN
        assert chosen.failed(FailureKind.OVERLOADED, 60.0, 60.0) is None
        assert chosen.skipped() == {"other": "it refused the request"}

    def test_one_with_an_obstacle_is_never_asked(self) -> None:
        chosen = route(OWN, Candidate("far", None, "far", "too far"))
        assert chosen.failed(FailureKind.OVERLOADED, 60.0, 0.0) is None
        assert chosen.skipped() == {"far": "too far"}

    def test_a_new_call_is_made_elsewhere_until_the_cooldown_is_over(self) -> None:
        cooldowns = Cooldowns()
        route(OWN, OTHER, cooldowns=cooldowns).failed(FailureKind.OVERLOADED, 45.0, 0.0)
        later = Route(POLICY, (OWN, OTHER), cooldowns)
        assert (later.begin(1.0), later.target) == (0.0, OTHER)
        assert (later.begin(36.0), later.target) == (9.0, OWN)
        assert (later.begin(46.0), later.target) == (0.0, OWN)

    def test_without_scale_it_goes_elsewhere_too(self) -> None:
        chosen = Route(Policy(time_scale=0), (OWN, OTHER), Cooldowns())
        assert chosen.failed(FailureKind.OVERLOADED, 45.0, 0.0) == 0.0
        assert chosen.target is OTHER


class TestCooldowns:
    def test_the_longer_one_counts(self) -> None:
        cooldowns = Cooldowns()
        cooldowns.cool("a", 50.0, 0.0)
        cooldowns.cool("a", 20.0, 1.0)
        assert cooldowns.left("a", 10.0) == 40.0
        assert cooldowns.left("b", 10.0) == 0.0

    def test_those_that_are_over_are_forgotten(self) -> None:
        cooldowns = Cooldowns()
        for n in range(100):
            cooldowns.cool(str(n), n + 1.0, float(n))
        assert len(cooldowns._ends) == 1


@pytest.mark.parametrize(
    ("model", "base"),
    [
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5"),
        ("claude-haiku-4-5@20251001", "claude-haiku-4-5"),
        ("claude-3-5-sonnet-latest", "claude-3-5-sonnet"),
        ("anthropic.claude-opus-4-6-v1", "claude-opus-4-6"),
        ("claude-2.1", "claude-2.1"),
        ("Other-Model", "other-model"),
    ],
)
def test_the_base_of_a_model(model, base) -> None:
    assert base_model(model) == base


THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
SAID = {"type": "text", "text": "Yes."}
HISTORY = [
    {"role": "user", "content": "Well?"},
    {"role": "assistant", "content": [THOUGHT, SAID]},
    {"role": "user", "content": [SAID]},
]


def test_another_model_gets_no_thinking_of_the_first() -> None:
    body = {"model": "claude-opus-5-5", "messages": HISTORY}
    assert for_model(body, "anthropic.claude-opus-5-5")["messages"] is HISTORY
    other = for_model(body, "claude-haiku-4-5")
    assert other["model"] == "claude-haiku-4-5"
    assert other["messages"][1] == {"role": "assistant", "content": [SAID]}
    assert HISTORY[1]["content"] == [THOUGHT, SAID]


SEARCH = {"type": "web_search_20250305", "name": "web_search"}
FILE = {"type": "document", "source": {"type": "file", "file_id": "file_1"}}
RESULT = {"type": "tool_result", "tool_use_id": "1", "content": [FILE]}
SAME_CLIENT, OTHER_ACCOUNT = Place(), Place(other_client=True)
OTHER_PLATFORM = Place(other_client=True, other_platform=True)


@pytest.mark.parametrize(
    ("fields", "betas", "first_refused"),
    [
        ({}, "", None),
        ({"tools": [{"name": "own", "input_schema": {}}]}, "", None),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "", None),
        ({"thread": {"type": "create"}}, "", None),
        ({"thread": {"type": "continue", "previous_message_id": "m"}}, "", SAME_CLIENT),
        ({"container": "c"}, "", OTHER_ACCOUNT),
        ({"messages": [{"role": "user", "content": [FILE]}]}, "", OTHER_ACCOUNT),
        ({"messages": [{"role": "user", "content": [RESULT]}]}, "", OTHER_ACCOUNT),
        ({}, "some-beta", OTHER_PLATFORM),
        ({"tools": [SEARCH]}, "", OTHER_PLATFORM),
        ({"mcp_servers": [{}]}, "", OTHER_PLATFORM),
    ],
)
def test_obstacles(fields, betas, first_refused) -> None:
    places = [SAME_CLIENT, OTHER_ACCOUNT, OTHER_PLATFORM]
    able = [obstacle(fields, betas, place) is None for place in places]
    expected = len(places) if first_refused is None else places.index(first_refused)
    assert able == [True] * expected + [False] * (len(places) - expected)


def test_a_client_for_tasks_is_an_obstacle_to_one_for_threads() -> None:
    assert obstacle({}, "", Place(other_client=True, other_kind=True))


def test_patience_counts_from_the_first_failure() -> None:
    bounds = Bounds(POLICY, 0.0, route := Route(POLICY, (OWN, OTHER), Cooldowns()))
    error = Failure(FailureKind.SERVER_ERROR, "500", 500)
    for now in (0.0, 2.0, 5.0):
        assert bounds.failed(error, None, now) != 0.0
        assert route.target is OWN
    assert bounds.failed(error, None, 9.0) == 0.0
    assert route.target is OTHER


def test_a_stall_was_waited_for() -> None:
    bounds = Bounds(POLICY, 0.0, route := Route(POLICY, (OWN, OTHER), Cooldowns()))
    assert bounds.failed(Failure(FailureKind.STALLED, "silent"), None, POLICY.patience + 1) == 0.0
    assert route.target is OTHER


def test_a_short_stall_stays() -> None:
    bounds = Bounds(POLICY, 0.0, route := Route(POLICY, (OWN, OTHER), Cooldowns()))
    assert bounds.failed(Failure(FailureKind.STALLED, "silent"), None, 1.0) == 0.0
    assert route.target is OWN
