"""A service that fails for a while, and a call of it on a clock of its own."""

from __future__ import annotations

import functools
import itertools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.core.service import Service, read_message, request

from unbroken._core.actions import AskBudget, Finish, GiveUp, Send, Sleep
from unbroken._core.call import FailedAttempt
from unbroken._core.failures import Failure, FailureKind
from unbroken._core.framing.frames import ServerSentEvents
from unbroken._core.models import Prefill
from unbroken._core.policy import Policy
from unbroken._core.recovery import Recovery
from unbroken._core.states import Phase

if TYPE_CHECKING:
    from collections.abc import Sequence

K = FailureKind
TEXT = (
    "It was a dark and stormy night. In the harbour a bell rang twice, and then the line to the "
    "island went dead. Nobody noticed until the baker asked for news of the boats."
)
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
        is_silent: Whether nothing is heard until `idle_timeout`.
        retry_after: What the service asks to wait.
    """

    kind: FailureKind
    waits: Sequence[float]
    opens: bool = False
    is_silent: bool = False
    retry_after: float | None = None

    def most_requests(self, lasts: float) -> int:
        """How many requests are made at most until one comes after the outage."""
        at, waits = 0.0, itertools.chain(self.waits, itertools.repeat(self.waits[-1]))
        for number, wait in enumerate(waits, 1):
            if at >= lasts:
                return number
            at += max(wait, SHORTEST if self.is_silent else 0)
        raise AssertionError


AT_ONCE = (0, 1, 2, 4, 8)
GROWING = (1, 2, 4, 8, 16, 27)
TROUBLES = {
    "drop": Trouble(K.DROPPED, AT_ONCE, opens=True),
    "stall": Trouble(K.STALLED, AT_ONCE, opens=True, is_silent=True),
    "hang before headers": Trouble(K.STALLED, AT_ONCE, is_silent=True),
    "408": Trouble(K.REQUEST_TIMEOUT, AT_ONCE),
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
        assert policy.idle_timeout is not None
        self.idle = policy.idle_timeout
        timeout = policy.progress_timeout
        self.machine = Recovery(
            policy, request(), self.now, prefill=Prefill(), progress_timeout=timeout
        )

    @property
    def phase(self) -> Phase:
        return self.machine.call.phase

    @property
    def is_over(self) -> bool:
        return isinstance(self.machine.action, Finish | GiveUp)

    def go(self) -> None:
        while not self.is_over:
            self.step()

    def step(self) -> None:
        """Carry out what the machine says, up to the end of the next request."""
        action = self.machine.action
        if isinstance(action, AskBudget):
            budget = self.machine.call.policy.budget
            self.machine.charged(granted=budget is None or budget.take(self.now), now=self.now)
        elif isinstance(action, Sleep):
            self.now += action.seconds
            self.machine.waited(self.now)
        elif isinstance(action, Send):
            self.send(action)

    def send(self, action: Send) -> None:
        self.sent = action.plan
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
        return answer_to(json.dumps(self.sent.body))

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
        if trouble.is_silent:
            longest = self.machine.call.bounds.longest_silence(self.now)
            self.now += self.idle if longest is None else min(self.idle, longest)
        self.lose(Failure(trouble.kind, "x", retry_after=trouble.retry_after))

    def lose(self, failure: Failure) -> None:
        failed = FailedAttempt(failure, ConnectionResetError())
        if self.phase is Phase.READING:
            self.out += self.machine.connection_lost(failed, self.now)
        else:
            self.machine.no_response(failed, self.now)

    def text(self) -> str:
        events = ServerSentEvents()
        decoded = [events.decode(frame) for frame in events.split(self.out)]
        data = [event.data for event in decoded if event is not None]
        message = read_message([one for one in data if one["type"] != "ping"])
        return "".join(block["text"] for block in message["content"])
