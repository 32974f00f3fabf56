"""Time decides: by default, every outage that is shorter than `max_outage` ends with the answer."""

from __future__ import annotations

import functools
import itertools
import json
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from tests.core.service import Service, read_message, request

from unbroken._core.bounds import Reason
from unbroken._core.budget import RetryBudget
from unbroken._core.call import Loss
from unbroken._core.failures import Failure, FailureKind
from unbroken._core.frames import ServerSentEvents
from unbroken._core.models import Prefill
from unbroken._core.policy import Policy
from unbroken._core.recovery import Recovery
from unbroken._core.states import Phase

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

K = FailureKind
TEXT = (
    "It was a dark and stormy night. In the harbour a bell rang twice, and then the line to the "
    "island went dead. Nobody noticed until the baker asked for news of the boats."
)
PING = b'event: ping\ndata: {"type": "ping"}\n\n'
DEFAULT = Policy()
SHORTEST = 30
"""Seconds that an attempt may be silent at least, if so much is left."""
LATENCY = 0.05
"""Seconds that a request takes, if it does not stall."""


@dataclass(frozen=True)
class Trouble:
    """How the service fails while an outage lasts.

    Attributes:
        kind: What that is.
        waits: The shortest waits that the README's table allows, the last one from then on.
        opens: Whether a stream begins before it fails.
        silence: Seconds for which nothing is heard before that is noticed.
        retry_after: What the service asks to wait.
    """

    kind: FailureKind
    waits: Sequence[float]
    opens: bool = False
    silence: float = 0.0
    retry_after: float | None = None

    def most_requests(self, lasts: float) -> int:
        """How many requests are made at most until one comes after the outage."""
        at, waits = 0.0, itertools.chain(self.waits, itertools.repeat(self.waits[-1]))
        for number, wait in enumerate(waits, 1):
            if at >= lasts:
                return number
            at += max(wait, SHORTEST if self.silence else 0)
        raise AssertionError


AT_ONCE = (0, 1, 2, 4, 8)
GROWING = (1, 2, 4, 8, 16, 27)
TROUBLES = {
    "drop": Trouble(K.DROPPED, AT_ONCE, opens=True),
    "stall": Trouble(K.STALLED, AT_ONCE, opens=True, silence=180),
    "hang before headers": Trouble(K.STALLED, AT_ONCE, silence=180),
    "408": Trouble(K.TIMED_OUT, AT_ONCE),
    "429": Trouble(K.RATE_LIMITED, (5, 10, 20)),
    "429, retry-after 1": Trouble(K.RATE_LIMITED, (1,), retry_after=1),
    "429, retry-after 7": Trouble(K.RATE_LIMITED, (7,), retry_after=7),
    "429, retry-after 119": Trouble(K.RATE_LIMITED, (119,), retry_after=119),
    "500": Trouble(K.SERVER_ERROR, GROWING),
    "502": Trouble(K.SERVER_ERROR, GROWING),
    "503, retry-after 2": Trouble(K.SERVER_ERROR, (2,), retry_after=2),
    "529": Trouble(K.OVERLOADED, (30,)),
    "refused": Trouble(K.UNREACHABLE, GROWING),
}


SERVICE = Service(TEXT, delta_chars=20)


@functools.cache
def answer_to(raw: str) -> bytes:
    """What the service answers to a request, if nothing is wrong."""
    status, body, ended = SERVICE.respond(json.loads(raw))
    assert status == 200
    ended(False)  # so that it may be continued
    return body


def begin_of(body: bytes, part: str) -> bytes:
    """The frames of a body before the one with this part."""
    return body[: body.rindex(b"\n\n", 0, body.index(part.encode())) + 2]


MIXED = {
    "resets, then refused": ("drop", "refused"),
    "502 and 503": ("502", "503, retry-after 2"),
    "429 and resets": ("429, retry-after 1", "drop"),
    "408, 429, 502 and resets": ("408", "429", "502", "drop"),
}


class Line:
    """One call of a service that fails for a while, on a clock of its own."""

    def __init__(
        self,
        trouble: Trouble | Sequence[Trouble],
        lasts: float,
        policy: Policy | None = None,
        *,
        cut: int | None = None,
    ) -> None:
        self.troubles = itertools.cycle([trouble] if isinstance(trouble, Trouble) else trouble)
        self.now = 1000.0
        self.began = self.now
        self.over = self.now + lasts
        self.cut = cut
        self.out = b""
        self.requests = 0
        policy = policy or Policy()  # with a budget of its own
        timeout = policy.progress_timeout
        self.machine = Recovery(
            policy, request(), self.now, prefill=Prefill(), progress_timeout=timeout
        )

    @property
    def phase(self) -> Phase:
        return self.machine.call.phase

    def go(self) -> None:
        while self.phase in (Phase.ASKING, Phase.WAITING):
            self.step()

    def step(self) -> None:
        call = self.machine.call
        if self.phase is Phase.WAITING:
            self.now += call.wait
            call.waited()
        self.machine.begin(self.now)
        self.requests += 1
        began = self.now
        self.now += LATENCY
        if self.cut is not None:
            self.first_half(self.cut)
        elif began < self.over:
            self.fail()
        else:
            self.read(self.answer())

    def answer(self) -> bytes:
        return answer_to(json.dumps(self.machine.plan.body))

    def read(self, body: bytes) -> None:
        self.machine.opened(ServerSentEvents, self.now)
        self.out += self.machine.receive(body, self.now)

    def first_half(self, cut: int) -> None:
        """The answer begins well, and breaks off."""
        lasts, self.cut = self.over - self.began, None
        self.read(begin_of(self.answer(), TEXT[cut : cut + 20]))
        self.over = self.now + lasts
        self.lose(Failure(K.DROPPED, "cut"))

    def fail(self) -> None:
        trouble = next(self.troubles)
        if trouble.opens:
            self.read(begin_of(self.answer(), "content_block_start"))
        if trouble.silence:
            longest = self.machine.call.bounds.longest_silence(self.now)
            self.now += trouble.silence if longest is None else min(trouble.silence, longest)
        self.lose(Failure(trouble.kind, "x", retry_after=trouble.retry_after))

    def lose(self, failure: Failure) -> None:
        loss = Loss(failure, ConnectionResetError())
        if self.phase is Phase.READING:
            self.out += self.machine.broke(loss, self.now)
        else:
            self.machine.failed(loss, self.now)

    def text(self) -> str:
        events = ServerSentEvents()
        decoded = [events.decode(frame) for frame in events.split(self.out)]
        data = [event.data for event in decoded if event is not None]
        message = read_message([one for one in data if one["type"] != "ping"])
        return "".join(block["text"] for block in message["content"])


SEEDS = range(5)
CUTS = {"at the beginning": None, "after a drop": 100}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
@pytest.mark.parametrize("lasts", [8, 20, 60, 200])
@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
def test_by_default_an_outage_ends_with_the_whole_answer(trouble, lasts, cut):
    for seed in SEEDS:
        random.seed(seed)
        line = Line(trouble, lasts, cut=cut)
        line.go()
        assert line.phase is Phase.COMPLETE, line.machine.call.reason
        assert line.text() == TEXT
        begun_well = 0 if cut is None else 1
        assert line.requests <= trouble.most_requests(lasts) + begun_well
        assert line.requests <= DEFAULT.max_attempts


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
@pytest.mark.parametrize("lasts", [8, 20, 60, 200])
@pytest.mark.parametrize("names", MIXED.values(), ids=MIXED)
def test_an_outage_of_several_kinds_ends_with_the_whole_answer(names, lasts, cut):
    for seed in SEEDS:
        random.seed(seed)
        line = Line([TROUBLES[name] for name in names], lasts, cut=cut)
        line.go()
        assert line.phase is Phase.COMPLETE, line.machine.call.reason
        assert line.text() == TEXT


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
def test_an_outage_without_end_is_given_up_for_its_length(trouble, cut):
    for seed in SEEDS:
        random.seed(seed)
        line = Line(trouble, 1e9, cut=cut)
        line.go()
        assert line.phase is Phase.LOST
        assert line.machine.call.reason is Reason.MAX_OUTAGE
        unnoticed = trouble.silence if cut is None else 0
        assert line.now - line.began <= unnoticed + DEFAULT.max_outage + 2 * LATENCY


@pytest.mark.parametrize("patience", [20, 60])
@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
def test_giving_up_after_so_long_means_so_long_where_every_attempt_hangs(trouble, patience):
    line = Line(trouble, 1e9, Policy(max_outage=patience), cut=100)
    line.go()
    assert line.machine.call.reason in (Reason.MAX_OUTAGE, Reason.MAX_RETRY_AFTER)
    assert line.now - line.began <= patience + 2 * LATENCY


def test_a_stream_that_only_pings_is_resumed():
    line = Line(TROUBLES["drop"], 0)
    line.machine.begin(line.now)
    line.read(begin_of(line.answer(), TEXT[100:120]))
    while line.phase is Phase.READING:
        line.now += 15
        line.out += line.machine.receive(PING, line.now)
    assert line.now - line.began == DEFAULT.progress_timeout
    line.go()
    assert line.phase is Phase.COMPLETE
    assert line.text() == TEXT


# A thousand callers


def crowd(size: int, trouble: Trouble, lasts: float, policy: Policy, **how: Any) -> list[Line]:
    return [Line(trouble, lasts, policy, **how) for _ in range(size)]


def run(lines: Iterable[Line]) -> None:
    """Carry all calls out at the same time."""
    under_way = list(lines)
    while under_way:
        for line in under_way:
            line.step()
        under_way = [one for one in under_way if one.phase in (Phase.ASKING, Phase.WAITING)]


def test_a_thousand_streams_reset_at_once_are_all_whole():
    policy = Policy(budget=RetryBudget())
    lines = crowd(1000, TROUBLES["drop"], 0, policy, cut=100)
    run(lines)
    assert {line.phase for line in lines} == {Phase.COMPLETE}
    assert {line.text() for line in lines} == {TEXT}
    assert sum(line.requests for line in lines) == 2000


@pytest.mark.parametrize("name", ["529", "refused", "drop"])
@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_a_thousand_callers_in_an_outage_send_no_more_than_the_budget_allows(name, cut):
    budget = RetryBudget()
    lines = crowd(1000, TROUBLES[name], 1e9, Policy(budget=budget), cut=cut)
    run(lines)
    assert {line.phase for line in lines} == {Phase.LOST}
    assert Reason.BUDGET in {line.machine.call.reason for line in lines}
    free = 1000 if cut is None else 2000
    put_back = budget.per_second * (max(line.now for line in lines) - lines[0].began)
    assert sum(line.requests for line in lines) <= free + budget.capacity + put_back
