"""Other middlewares of the client, below and above the recovery."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest
from tests.doors.both import LIBRARY, Both, both, is_async
from tests.doors.conftest import ANSWER
from tests.samples import AT_ONCE, NEWEST, PREFILLS

import unbroken
from unbroken.testing import Answer, faults

__all__ = ["both", "is_async"]  # fixtures

BEGUN = "The morning train was late, and nobody on the platform knew how late it was going to be."


def nothing(_: Any) -> None:
    """Does nothing."""


@pytest.mark.parametrize("retries", [0, 3])
def test_an_outer_middleware_gets_the_last_response(serve, both, retries):
    server = serve(faults=[faults.reset_before(), *[faults.status(529)] * 9])
    seen: list[Any] = []
    with pytest.raises(anthropic.APIStatusError) as raised:
        both.call(
            server,
            outer=[both.middleware(nothing, seen.append)],
            change=lambda client: client.with_options(max_retries=retries),
        )
    assert [response.status_code for response in seen] == [529]
    assert len(server.requests) == AT_ONCE.max_fruitless
    report = unbroken.report(raised.value)
    assert len(report.attempts) == AT_ONCE.max_fruitless


def test_an_outer_middleware_can_act_on_it(serve, is_async):
    server = serve(faults=[faults.status(529)] * AT_ONCE.max_fruitless)

    def again(request: Any, call_next: Any) -> Any:
        response = call_next(request)
        return call_next(request) if response.status_code == 529 else response

    async def again_async(request: Any, call_next: Any) -> Any:
        response = await call_next(request)
        return await call_next(request) if response.status_code == 529 else response

    message = Both(is_async, True).call(server, outer=[again_async if is_async else again])
    assert message.content[0].text == ANSWER


def test_alone_it_raises_with_what_failed_first_as_the_cause(serve, both):
    server = serve(faults=[faults.reset_before(), *[faults.status(529)] * 9])
    with pytest.raises(anthropic.APIStatusError) as raised:
        both.call(server)
    assert isinstance(raised.value.__cause__, LIBRARY.TransportError)


def rebuilt(response: Any) -> None:
    """Put another response in the place of one, as middlewares do that change the body."""
    http = response.http_response
    body = {"content": http.content} if http.is_closed else {"stream": http.stream}
    headers = {"content-type": http.headers["content-type"]}
    response.http_response = LIBRARY.Response(
        http.status_code, headers=headers, request=http.request, **body
    )


def test_the_report_is_found_where_an_outer_middleware_made_another_response(serve, is_async):
    server = serve(faults=[faults.reset(after_chars=60)])
    both = Both(is_async, True)
    message = both.call(server, outer=[both.middleware(nothing, rebuilt)])
    assert message.content[0].text == ANSWER
    assert len(unbroken.report(message.stream).attempts) == 2


def test_the_report_of_an_error_response_is_found_there_too(serve, both):
    with pytest.raises(anthropic.BadRequestError) as raised:
        both.call(serve(faults=[faults.status(400)]), outer=[both.middleware(nothing, rebuilt)])
    assert len(unbroken.report(raised.value).attempts) == 1


def test_a_response_without_a_request_has_no_report():
    with pytest.raises(TypeError, match="no report"):
        unbroken.report(LIBRARY.Response(200))


def refuse(body: dict[str, Any]) -> Answer | str:
    """The first model refuses in the middle of its answer, the other one answers."""
    if body["model"] != NEWEST:
        return ANSWER
    details = {"type": "refusal", "category": "cyber", "fallback_credit_token": "credit"}
    return Answer(BEGUN, stop_reason="refusal", stop_details=details)


DROPS = {
    "in the refused answer": [faults.reset(after_chars=60)],
    "in the other answer": [None, faults.reset(after_chars=60)],
    "in both": [faults.eof(after_chars=60), None, faults.eof(after_chars=60)],
    "before both": [faults.reset_before(), None, faults.status(529)],
}


@pytest.mark.skipif(
    not hasattr(anthropic, "BetaRefusalFallbackMiddleware"), reason="this SDK has no fallbacks"
)
@pytest.mark.parametrize(
    ("place", "script"),
    [
        *(pytest.param("outer", script, id=f"outer, {name}") for name, script in DROPS.items()),
        # The recovery sees one stream, in which the other answer is.
        pytest.param("inner", DROPS["in the other answer"], id="inner, in the other answer"),
        pytest.param("inner", [faults.reset_before()], id="inner, before both"),
    ],
)
def test_the_sdks_fallbacks_work_on_either_side(serve, both, script, place):
    if both.streams is False:
        script = [fault and faults.reset_before() for fault in script]
    server = serve(refuse, faults=script)
    fallbacks: Any = anthropic.BetaRefusalFallbackMiddleware([{"model": PREFILLS}])
    message = both.call(server, **{place: [fallbacks]}, change=lambda client: client.beta)
    texts = [block.text for block in message.content if block.type == "text"]
    assert "".join(texts).endswith(ANSWER)
    if both.streams:
        assert texts[0].startswith(BEGUN)
        assert unbroken.report(message.stream).attempts
    assert message.stop_reason == "end_turn"
