"""The boundaries, in the order in which a request passes them."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unbroken._cli.doctor import call_verdicts, calls, environment, network, network_verdicts
from unbroken._cli.doctor.finding import Finding, Status
from unbroken._cli.sdk import has_credentials, http_library

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from unbroken._cli.route import Route

__all__ = ["BOUNDARIES", "Boundary", "Patient", "examine", "silent_tokens"]

_RATE = 80.0
"""Output tokens a second, where no stream has told the model's own."""
_MARGIN = 1.2
_TIMEOUT = 60.0


class Patient:
    """What is examined: each property is looked at once, when a boundary needs it.

    Args:
        client: A client of the SDK that does not retry.
        route: The way of its requests.
        model: The model.
        idle: The seconds of silence to try; None to try none.
        is_api_key: Whether the platform takes a key of the API.
    """

    def __init__(
        self, client: Any, route: Route, model: str, idle: float | None, *, is_api_key: bool
    ) -> None:
        self.client = client
        self.route = route
        self.model = model
        self.idle = idle
        self.is_api_key = is_api_key

    @property
    def environment(self) -> environment.Environment:
        """Versions, variables and credentials."""
        return environment.look_around(
            self.route,
            is_api_key=self.is_api_key,
            has_credentials=has_credentials(self.client),
        )

    @property
    def handshake(self) -> network.Handshake:
        """How TLS begins."""
        return network.shake_hands(self.route, http_library().create_ssl_context())

    @functools.cached_property
    def bad_request(self) -> calls.Reply:
        """The answer to a request without messages, which costs nothing."""
        return self._call(max_tokens=1, messages=[])

    @functools.cached_property
    def plain(self) -> calls.Reply:
        """The answer to a short call."""
        return self._call(**calls.PONG)

    @functools.cached_property
    def streamed(self) -> calls.Streamed:
        """A short stream."""
        return calls.stream(self.client, model=self.model, timeout=_TIMEOUT, **calls.COUNTING)

    @property
    def silent(self) -> calls.Reply:
        """The answer to a call that keeps silent for long: until all of it is written."""
        assert self.idle is not None
        arrivals = self.streamed.arrivals
        spread = arrivals[-1] - arrivals[0]
        rate = self.streamed.tokens / spread if spread > 1 else _RATE
        ask = "Write the whole numbers from 1 to 100000, one a line, and nothing else."
        return self._call(
            max_tokens=silent_tokens(self.idle, rate),
            messages=[{"role": "user", "content": ask}],
            timeout=self.idle * 2 + _TIMEOUT,
        )

    def _call(self, **asked: Any) -> calls.Reply:
        return calls.call(self.client, **{"model": self.model, "timeout": _TIMEOUT, **asked})


def silent_tokens(idle: float, rate: float = _RATE) -> int:
    """How many tokens a model writes while nothing comes for so many seconds.

    Args:
        idle: The seconds.
        rate: Tokens a second.
    """
    return max(16, math.ceil(idle * rate * _MARGIN))


def _always(_patient: Patient) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Boundary:
    """One boundary.

    Attributes:
        name: Its name.
        tried: What is tried.
        look: Tries it, and judges what came of it.
        is_there: Whether a patient has it.
    """

    name: str
    tried: str
    look: Callable[[Patient], Finding]
    is_there: Callable[[Patient], bool] = _always


def _look_at_silence(patient: Patient) -> Finding:
    if patient.idle is None:
        return Finding(Status.SKIPPED, "not tried; --idle 60 tries 60 s, which costs more tokens")
    return call_verdicts.judge_silence(patient.silent, patient.idle)


BOUNDARIES = (
    Boundary(
        "environment",
        "versions, proxy variables, the shape of the key",
        lambda p: environment.judge_environment(p.environment),
    ),
    Boundary(
        "name",
        "the first host on the way is looked up",
        lambda p: network_verdicts.judge_name(network.resolve(p.route)),
    ),
    Boundary(
        "connection",
        "a TCP connection is opened to it",
        lambda p: network_verdicts.judge_connection(network.connect(p.route)),
    ),
    Boundary(
        "proxy",
        "the proxy is asked for a tunnel",
        lambda p: network_verdicts.judge_tunnel(network.tunnel(p.route)),
        lambda p: p.route.is_tunnelled and not p.route.is_socks,
    ),
    Boundary(
        "tls",
        "TLS begins, with the authorities that the SDK trusts",
        lambda p: network_verdicts.judge_tls(p.handshake),
        lambda p: p.route.is_tls and not p.route.is_socks,
    ),
    Boundary(
        "http",
        "a request that the API must refuse",
        lambda p: call_verdicts.judge_http(p.bad_request),
    ),
    Boundary(
        "credentials",
        "how that request is refused",
        lambda p: call_verdicts.judge_credentials(p.bad_request),
    ),
    Boundary(
        "errors",
        "whether the refusal is clear",
        lambda p: call_verdicts.judge_errors(p.bad_request),
    ),
    Boundary("model", "a call of 16 tokens", lambda p: call_verdicts.judge_model(p.plain)),
    Boundary("call", "the answer to that call", lambda p: call_verdicts.judge_call(p.plain)),
    Boundary(
        "stream",
        "a stream of 200 tokens, and when its events come",
        lambda p: call_verdicts.judge_stream(p.streamed),
    ),
    Boundary("silence", "a call whose answer takes long", _look_at_silence),
)


def examine(patient: Patient) -> Iterator[tuple[Boundary, Finding]]:
    """Look at one boundary after the other; those behind one that failed are skipped."""
    failed = None
    for boundary in BOUNDARIES:
        if not boundary.is_there(patient):
            continue
        if failed is not None:
            yield boundary, Finding(Status.SKIPPED, f"behind {failed}")
            continue
        finding = boundary.look(patient)
        if finding.status is Status.FAILED:
            failed = boundary.name
        yield boundary, finding
