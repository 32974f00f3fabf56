"""`install()`: every client that is made afterwards recovers, whoever makes it."""

from __future__ import annotations

import functools
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import anthropic
import pytest
from tests.doors.conftest import ANSWER, read, request
from tests.doors.platforms import ACCESS_KEY, SECRET_KEY, Drop, Platform

import unbroken
from unbroken import Policy, RecoveryMiddleware
from unbroken._doors import sdk_clients
from unbroken.testing import faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

AT_ONCE = Policy(time_scale=0)
AWS = {"aws_access_key": ACCESS_KEY, "aws_secret_key": SECRET_KEY, "aws_region": "us-east-1"}
GOOGLE = {"project_id": "my-project", "region": "us-east5", "access_token": "test"}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "Anthropic": {"api_key": "test"},
    "AnthropicAWS": {"api_key": "test", "workspace_id": "wrkspc_1", "aws_region": "us-east-1"},
    "AnthropicBedrock": AWS,
    "AnthropicBedrockMantle": AWS,
    "AnthropicFoundry": {"api_key": "test"},
    "AnthropicGoogleCloud": {"project": "p", "location": "us-east5", "workspace_id": "wrkspc_1"},
    "AnthropicVertex": GOOGLE,
}
"""What each class of client is made with, beside a `base_url`."""


def classes() -> list[str]:
    """The clients of the installed SDK."""
    names = [name.removeprefix("Async") for name in dir(anthropic) if "Anthropic" in name]
    return sorted({name for name in names if hasattr(getattr(anthropic, name), "with_options")})


@pytest.fixture(autouse=True)
def _uninstalled() -> Iterator[None]:
    yield
    unbroken.uninstall()


@pytest.fixture
def make(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Makes clients, and closes the sync ones after the test."""
    made: list[Any] = []

    def build(name: str = "Anthropic", url: str = "http://127.0.0.1:9", **options: Any) -> Any:
        arguments = {"base_url": url, **ARGUMENTS[name.removeprefix("Async")], **options}
        made.append(getattr(anthropic, name)(**arguments))
        return made[-1]

    yield build
    for client in made:
        if not type(client).__name__.startswith("Async"):
            client.close()


def recoveries(client: Any) -> list[RecoveryMiddleware]:
    return [one for one in client.middleware if isinstance(one, RecoveryMiddleware)]


def test_every_class_of_the_sdk_is_known():
    assert set(classes()) <= set(ARGUMENTS)


@pytest.mark.parametrize("kind", ["", "Async"])
@pytest.mark.parametrize("name", classes())
def test_a_client_of_every_class_has_it(make, name, kind):
    unbroken.install(AT_ONCE)
    client = make(kind + name)
    [recovery] = recoveries(client)
    assert recovery.policy is AT_ONCE
    assert client.max_retries == 0


def test_a_stream_recovers(serve, make):
    server = serve(faults=[faults.status(529), faults.reset(after_chars=30)])
    unbroken.install(AT_ONCE)
    text, stream = read(make(url=server.url))
    assert text == ANSWER
    assert len(unbroken.report(stream).attempts) == 3


@pytest.mark.anyio
async def test_an_async_stream_recovers(serve, make):
    server = serve(faults=[faults.status(529), faults.reset(after_chars=30)])
    unbroken.install(AT_ONCE)
    async with (
        make("AsyncAnthropic", server.url) as client,
        client.messages.stream(**request()) as stream,
    ):
        assert await stream.get_final_text() == ANSWER


def test_bedrock_recovers(make):
    unbroken.install(AT_ONCE)
    with Platform("bedrock", ANSWER, [Drop("reset", after=4)]) as server:
        client = make("AnthropicBedrock", server.url)
        assert read(client, model="anthropic.claude-opus-4-6-v1")[0] == ANSWER
        assert len(server.seen) == 2


def test_the_sdk_does_not_retry_by_itself(serve, make):
    server = serve(faults=[faults.status(500)] * 9)
    unbroken.install(Policy(max_attempts=2, time_scale=0))
    with pytest.raises(anthropic.InternalServerError):
        make(url=server.url, max_retries=7).messages.create(**request())
    assert len(server.requests) == 2


def test_clients_share_a_budget(serve, make):
    server = serve(faults=[faults.status(500)] * 9)
    unbroken.install(AT_ONCE.replace(budget=unbroken.RetryBudget(1, per_second=0)))
    for requests in (2, 3):
        with pytest.raises(anthropic.InternalServerError):
            make(url=server.url).messages.create(**request())
        assert len(server.requests) == requests


def test_other_middleware_stays_outside(make):
    class Mine(anthropic.Middleware):
        def handle(self, request: Any, call_next: Any) -> Any:
            return call_next(request)

    mine = Mine()
    unbroken.install(AT_ONCE)
    client = make(middleware=iter([mine]))
    assert client.middleware[0] is mine
    assert len(client.middleware) == 2


def test_subclasses_have_it(make):
    class Mine(anthropic.Anthropic):
        def __init__(self, key: str) -> None:
            super().__init__(api_key=key)

    unbroken.install(AT_ONCE)
    with Mine("test") as client:
        assert len(recoveries(client)) == 1


# Once


def test_twice_is_once(make):
    unbroken.install(AT_ONCE)
    unbroken.install(AT_ONCE)
    assert len(recoveries(make())) == 1
    unbroken.uninstall()
    assert recoveries(make()) == []


def test_the_last_one_counts_for_clients_made_after_it(make):
    unbroken.install(AT_ONCE)
    before = make()
    other = Policy(max_attempts=2)
    unbroken.install(other)
    assert [one.policy for one in recoveries(before)] == [AT_ONCE]
    assert [one.policy for one in recoveries(make())] == [other]


def test_uninstalling_leaves_the_sdk_as_it_was(make):
    bases = [sdk_clients.SYNC_BASE, sdk_clients.ASYNC_BASE]
    before = [vars(cls)["__init__"] for cls in bases]
    unbroken.install(AT_ONCE)
    client = make()
    unbroken.uninstall()
    unbroken.uninstall()
    assert [vars(cls)["__init__"] for cls in bases] == before
    assert len(recoveries(client)) == 1
    assert make().max_retries == anthropic.DEFAULT_MAX_RETRIES


def test_uninstalling_below_another_hook_leaves_that_in_place(make, monkeypatch):
    unbroken.install(AT_ONCE)
    base = sdk_clients.SYNC_BASE
    hooked, seen = base.__init__, []

    @functools.wraps(hooked)
    def on_top(self: Any, *args: Any, **options: Any) -> None:
        seen.append(self)
        hooked(self, *args, **options)

    with monkeypatch.context() as patched:
        patched.setattr(base, "__init__", on_top)
        unbroken.uninstall()
        client = make()
        assert seen == [client]
        assert recoveries(client) == []
        assert client.max_retries == anthropic.DEFAULT_MAX_RETRIES
    base.__init__ = hooked.__wrapped__


def test_clients_that_exist_stay_as_they_are(make):
    client = make()
    unbroken.install(AT_ONCE)
    assert recoveries(client) == []


# Beside wrap()

MINE = Policy(max_attempts=3)


def test_wrap_wins(make):
    unbroken.install(AT_ONCE)
    assert [one.policy for one in recoveries(unbroken.wrap(make(), MINE))] == [MINE]


def test_a_middleware_that_is_given_wins(make):
    unbroken.install(AT_ONCE)
    client = make(middleware=[RecoveryMiddleware(MINE)], max_retries=5)
    assert [one.policy for one in recoveries(client)] == [MINE]
    assert client.max_retries == 5


@pytest.mark.parametrize("how", ["with_options", "copy"])
def test_a_copy_has_what_its_client_has(make, how):
    wrapped = unbroken.wrap(make(), MINE)
    unbroken.install(AT_ONCE)
    assert [one.policy for one in recoveries(getattr(wrapped, how)(timeout=3))] == [MINE]
    installed = getattr(make(), how)(timeout=3)
    assert [one.policy for one in recoveries(installed)] == [AT_ONCE]
    assert len(recoveries(unbroken.wrap(installed, MINE))) == 1


def test_an_empty_list_means_none(make):
    unbroken.install(AT_ONCE)
    copied = make().with_options(middleware=[])
    made = make(middleware=[])
    assert recoveries(copied) == recoveries(made) == []
    assert made.max_retries == anthropic.DEFAULT_MAX_RETRIES
    assert recoveries(copied.with_options(timeout=3)) == []


@pytest.mark.parametrize("name", classes())
def test_a_copy_of_a_client_that_exists_stays_as_it_is(make, name):
    client = make(name)
    unbroken.install(AT_ONCE)
    assert recoveries(client.with_options(timeout=3)) == []


def test_override_changes_the_policy_here_too(serve, make):
    server = serve(faults=[faults.status(500)] * 9)
    unbroken.install(AT_ONCE)
    client = make(url=server.url)
    with unbroken.override(Policy(max_attempts=1)), pytest.raises(anthropic.InternalServerError):
        client.messages.create(**request())
    assert len(server.requests) == 1


# What it takes


def test_it_takes_what_wrap_takes(serve, make, clock):
    server = serve(faults=[faults.status(429)])
    told: list[Any] = []
    unbroken.install(on_event=told.append, clock=clock)
    read(make(url=server.url))
    assert len(clock.waits) == 1
    assert [type(event).__name__ for event in told][-1] == "Completed"


@pytest.mark.parametrize("options", [{"policy": 3}, {"on_event": 3}])
def test_bad_values_raise_at_once_and_install_nothing(make, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        unbroken.install(**options)
    assert recoveries(make()) == []


def test_the_environment_is_read(make, monkeypatch):
    monkeypatch.setenv("UNBROKEN_MAX_ATTEMPTS", "7")
    unbroken.install()
    assert [one.policy.max_attempts for one in recoveries(make())] == [7]
    monkeypatch.setenv("UNBROKEN_MAX_ATTEMPTS", "many")
    with pytest.raises(ValueError, match="UNBROKEN_MAX_ATTEMPTS"):
        unbroken.install()


async def coroutine(event: Any) -> None:
    """An `on_event` for async clients."""


def test_a_coroutine_function_serves_async_clients_only(make):
    unbroken.install(AT_ONCE, on_event=coroutine)
    assert len(recoveries(make("AsyncAnthropic"))) == 1
    with pytest.raises(ValueError, match="on_event must be a plain function for a sync client"):
        make()


def test_it_is_inherited_by_a_fork(serve):
    server = serve(faults=[faults.status(500)])
    program = f"""
import os, anthropic, unbroken
unbroken.install(unbroken.Policy(time_scale=0))
child = os.fork()
if child == 0:
    client = anthropic.Anthropic(base_url={server.url!r}, api_key="test")
    message = client.messages.create(**{request()!r})
    os._exit(0 if message.content else 1)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=50)
    assert len(server.requests) == 2
