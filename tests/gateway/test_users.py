"""Who may use a gateway, and how much; and what never leaves it."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.asking import ask, asking, body, client, text_of
from tests.gateway.serving import serving
from tests.gateway.test_streams import SLOW, eventually
from tests.samples import NEWEST, STORY

from unbroken.gateway import User, keys
from unbroken.gateway.limits import Limits
from unbroken.gateway.paths import check_reach

KEY = "ub-the-key-of-a-user"
UPSTREAM_KEY = "sk-ant-the-key-of-the-upstream"
USER = User("web", keys.digest(KEY))
OTHER = User("other", keys.digest("ub-another"))
AS_USER = {"x-api-key": KEY}


@pytest.fixture
def with_user(server, tmp_path):
    """Serves a gateway with a user who has these limits."""
    made = []

    def start(**fields):
        users = (User("web", keys.digest(KEY), **fields), OTHER)
        made.append(serving(server.url, tmp_path, users=users, key=UPSTREAM_KEY))
        return made[0].__enter__()

    yield start
    for one in made:
        one.__exit__(None, None, None)


@pytest.mark.parametrize("place", ["x-api-key", "authorization"])
def test_a_key_may_come_in_both_headers(server, with_user, place):
    gateway = with_user()
    given = {"api_key": KEY} if place == "x-api-key" else {"auth_token": KEY}
    with anthropic.Anthropic(base_url=gateway.url, **given) as sdk:
        assert sdk.messages.create(**body()).content[0].text == STORY
    [request] = server.message_requests
    assert request.headers["x-api-key"] == UPSTREAM_KEY
    assert KEY not in str(request.headers)


@pytest.mark.parametrize("headers", [{"x-api-key": ""}, {"x-api-key": "wrong"}])
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/models", "/v1/streams/x"])
def test_strangers_are_refused(server, with_user, headers, path):
    gateway = with_user()
    with client(gateway, **headers) as http:
        answer = http.post(path, json=body()) if path == "/v1/messages" else http.get(path)
    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "authentication_error"
    assert not server.requests


def test_requests_a_minute(server, with_user):
    gateway = with_user(requests_per_minute=2)
    assert [ask(gateway, headers=AS_USER).status_code for _ in range(3)] == [200, 200, 429]
    refused = ask(gateway, headers=AS_USER)
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.json()["error"]["type"] == "rate_limit_error"
    assert ask(gateway, headers={"x-api-key": "ub-another"}).status_code == 200


def test_streams_at_once(server, with_user):
    gateway = with_user(streams=1)
    server.script(SLOW)
    with asking(gateway, headers=AS_USER) as events:
        events.until_text(5)
        assert ask(gateway, headers=AS_USER).status_code == 429
    eventually(lambda: not gateway.gateway.home.active)
    assert ask(gateway, headers=AS_USER).status_code == 200


def test_output_tokens_a_day(server, with_user):
    gateway = with_user(output_tokens_per_day=22)
    assert ask(gateway, headers=AS_USER).status_code == 200
    refused = ask(gateway, headers=AS_USER)
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) <= 86_400


def test_models_that_are_allowed(server, with_user):
    gateway = with_user(models=("claude-sonnet-*",))
    refused = ask(gateway, headers=AS_USER, model=NEWEST)
    assert refused.status_code == 403
    assert refused.json()["error"]["message"].startswith("model:")
    assert ask(gateway, headers=AS_USER, model="claude-sonnet-4-6").status_code == 200


def test_max_tokens_are_capped(server, with_user):
    gateway = with_user(max_tokens=50)
    ask(gateway, headers=AS_USER, max_tokens=1000)
    ask(gateway, headers=AS_USER, max_tokens=30)
    assert [one.body["max_tokens"] for one in server.message_requests] == [50, 30]


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        (None, "Be brief."),
        ("Rhyme.", "Be brief.\n\nRhyme."),
        (
            [{"type": "text", "text": "Rhyme."}],
            [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Rhyme."}],
        ),
    ],
)
def test_a_system_prompt_comes_before_theirs(server, with_user, theirs, expected):
    gateway = with_user(system="Be brief.")
    more = {} if theirs is None else {"system": theirs}
    assert text_of(ask(gateway, headers=AS_USER, **more).text) == STORY
    assert server.message_requests[0].body["system"] == expected


def test_a_request_that_is_not_changed_passes_byte_for_byte(server, with_user):
    gateway = with_user(max_tokens=5000)
    odd = (
        b'{ "model":"claude-opus-5-5","max_tokens":9, "messages":[{"role":"user","content":"a"}] }'
    )
    with client(gateway, **AS_USER, **{"content-type": "application/json"}) as http:
        assert http.post("/v1/messages", content=odd).status_code == 200
    assert server.message_requests[0].headers["content-length"] == str(len(odd))


LIMITED = ({"models": ("a",)}, {"max_tokens": 1}, {"output_tokens_per_day": 1}, {"system": "x"})


@pytest.mark.parametrize("fields", LIMITED)
def test_limits_cannot_be_got_round(fields):
    limited = User("web", keys.digest(KEY), **fields)
    for path in ("/v1/messages/count_tokens", "/v1/models", "/v1/models/m", "/v1/files/f/content"):
        check_reach(limited, path)
    for path in ("/v1/messages/batches", "/v1/complete", "/v1/sessions"):
        with pytest.raises(Exception, match="messages, models and files only"):
            check_reach(limited, path)
        check_reach(USER, path)


def test_a_slash_more_is_the_same_path(server, with_user):
    gateway = with_user(models=("claude-sonnet-*",))
    with client(gateway, **AS_USER) as http:
        for path in ("/v1/messages/", "/v1/%6dessages", "/v1/messages%2f"):
            assert http.post(path, json=body(model=NEWEST)).status_code == 403
    assert not server.requests


@pytest.mark.parametrize("is_async", [False, True])
def test_ones_own_way_to_know_users(server, tmp_path, is_async):
    def authenticate(request) -> Any:
        return USER if request.headers.get("x-me") == "1" else None

    async def later(request) -> Any:
        return authenticate(request)

    with serving(
        server.url, tmp_path, key=UPSTREAM_KEY, authenticate=later if is_async else authenticate
    ) as gateway:
        assert ask(gateway, headers={"x-me": "1"}).status_code == 200
        assert ask(gateway).status_code == 401


def test_streams_are_bound_to_their_user(with_user):
    gateway = with_user()
    path = ask(gateway, headers=AS_USER).headers["location"]
    with client(gateway) as http:
        assert http.get(path, headers=AS_USER).status_code == 200
        assert http.get(path, headers={"x-api-key": "ub-another"}).status_code == 404


# The counters


def test_the_window_moves():
    limits, user = Limits(), User("u", keys.digest("k"), requests_per_minute=1)
    assert limits.begin(user, 0) is None
    assert limits.begin(user, 30).retry_after == 30
    assert limits.begin(user, 60) is None


def test_a_day_ends_at_midnight():
    limits, user = Limits(), User("u", keys.digest("k"), output_tokens_per_day=10)
    assert limits.begin(user, 86_000) is None
    limits.end(user, 11, 86_100)
    assert limits.begin(user, 86_200).retry_after == 200
    assert limits.begin(user, 86_400) is None


@given(st.lists(st.floats(0, 200), max_size=40), st.integers(1, 5))
def test_never_more_than_allowed_in_any_minute(times, most):
    limits, user = Limits(), User("u", keys.digest("k"), requests_per_minute=most)
    begun = []
    for now in sorted(times):
        refusal = limits.begin(user, now)
        if refusal is None:
            begun.append(now)
        assert sum(now - 60 < one for one in begun) <= most
