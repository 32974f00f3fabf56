"""What the caller may set: `Policy`, `Continuation`, and `override()`."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Self

from unbroken._core import environment, presets
from unbroken._core.budget import RetryBudget
from unbroken._core.failures import FailureKind
from unbroken._core.rules import DEFAULT_RULES, Rule, switched
from unbroken._core.validation import Checks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Continuation", "Policy", "current_policy", "override"]

MODES = ("auto", "prefill", "user_turn", "restart", "off")
UNPROVEN = ("ask_again", "join", "give_up")
DELIVERY = ("whole", "live")
PLAIN_CALLS = ("plain", "streamed")


@dataclass(frozen=True, slots=True)
class Continuation:
    """How a dropped answer is taken up again.

    Attributes:
        mode: `auto` sends the partial answer back as the last assistant turn where the model
            takes that (Claude 4.5 and earlier), and as an assistant turn followed by a short user
            turn otherwise; `prefill` and `user_turn` insist on one of the two; `restart` asks the
            same again and goes on only if the new answer begins with what was delivered; `off`
            never resumes once text was delivered.
        prompt: The user turn's text: a string, in which `{anchor}` stands for the last words
            delivered and `{mark}` for the word that means "nothing was left to say", or a
            function that gets the partial text and returns the whole prompt. None: a good one.
        unproven: What follows a reply to that prompt if nothing proves where it joins the text:
            `ask_again` asks again with other words quoted, at most twice, and joins the last
            reply as it is if nothing proves it either; `join` joins the first; `give_up` raises
            `StreamInterrupted`.
        extend: How many times more is asked for of an answer that the model ended with
            `max_tokens`, in a text, or with `pause_turn`: the caller gets one message. Each request
            has the `max_tokens` of the caller's.

    Raises:
        ValueError: If a value is not one of these; it names the field.
    """

    mode: Literal["auto", "prefill", "user_turn", "restart", "off"] = "auto"
    prompt: str | Callable[[str], str] | None = None
    unproven: Literal["ask_again", "join", "give_up"] = "ask_again"
    extend: int = 0

    def __post_init__(self) -> None:
        checks = Checks("Continuation")
        checks.one_of("mode", self.mode, MODES)
        checks.one_of("unproven", self.unproven, UNPROVEN)
        checks.natural("extend", self.extend)
        said = isinstance(self.prompt, str) and bool(self.prompt.strip())
        checks.that(
            self.prompt is None or callable(self.prompt) or said,
            "prompt",
            "a text that is not blank, or a function of the partial text",
        )
        checks.raise_if_any()


@dataclass(frozen=True, slots=True)
class Policy:
    """When to try again, how long to wait, and when to stop. Immutable; see `replace()`.

    Attributes:
        max_attempts: Requests a call, the first one included: a guard against an answer that comes
            in tiny pieces without end.
        max_fruitless: Attempts in a row that gave the caller nothing new; None for any number.
        max_outage: Seconds from the moment a failure is noticed until the caller gets something
            new. An attempt that would begin later is not waited for, and no timeout of an attempt
            (pool, connect, write, read) is longer than what is left; a stream that hangs gets half
            of that, so that another one can follow. The silence before the failure was noticed
            does not count, and an answer that keeps coming is no outage.
        deadline: Seconds for the whole call, waits and reading included; None for no deadline. It
            caps the timeouts of attempts in the same way, and ends a stream in the middle.
        idle_timeout: Seconds without a byte after which a stream counts as stalled; None for
            never. A read timeout that the caller set on the client or the call takes its place.
            Calls that are not streamed keep the SDK's 600 seconds for their first attempt: an
            answer that takes so long sends no byte before it is whole. After a hang, a second
            attempt gets what is left of `max_outage`.
        progress_timeout: Seconds with nothing but pings after which a stream counts as stalled;
            None for never. A longer read timeout that the caller set takes its place.
        max_retry_after: Seconds; a longer `retry-after` fails at once rather than hanging.
        patience: Seconds; where a failed target has to be waited for longer than this, the call
            goes on with one of its fallbacks, if it has any.
        rules: What each kind of failure gets. A mapping of some kinds is completed by the
            defaults.
        budget: The fruitless retries that all calls of all clients under this policy share; None
            for no such bound.
        continuation: How a dropped answer is taken up again; a mode's name will do.
        thinking: `whole` delivers a thinking block when it is complete, so that a drop in it can
            be mended; `live` delivers it as it comes, and a drop in it is `StreamInterrupted`.
        json: `live` delivers a JSON document (`output_config.format`) as it comes; a drop in it is
            mended only if the document, asked for again, begins with what was delivered. `whole`
            delivers it when it is complete, so that a drop in it can always be mended.
        plain_calls: `streamed` makes calls that are not streamed as streams, so that a drop in them
            can be resumed, and puts the message together; `plain` makes them as they are. At the
            transports they are always made as they are.
        max_extra_tokens: Tokens, of input and output, that attempts beyond the first one may cost a
            call; None for no limit. An attempt that is expected to cost more is not made.
        time_scale: Multiplies every wait between attempts; 0 waits not at all (tests, drills).

    Raises:
        ValueError: If a value makes no sense; it names each wrong field.
    """

    max_attempts: int = 25
    max_fruitless: int | None = None
    max_outage: float = 300.0
    deadline: float | None = None
    idle_timeout: float | None = 180.0
    progress_timeout: float | None = 300.0
    max_retry_after: float = 120.0
    patience: float = 10.0
    rules: Mapping[FailureKind, Rule] = field(default_factory=lambda: DEFAULT_RULES, hash=False)
    budget: RetryBudget | None = field(default_factory=RetryBudget, compare=False)
    continuation: Continuation | Literal["auto", "prefill", "user_turn", "restart", "off"] = (
        Continuation()
    )
    thinking: Literal["whole", "live"] = "whole"
    json: Literal["live", "whole"] = "live"
    plain_calls: Literal["plain", "streamed"] = "plain"
    max_extra_tokens: int | None = None
    time_scale: float = 1.0

    def __post_init__(self) -> None:
        checks = Checks("Policy")
        checks.count("max_attempts", self.max_attempts)
        checks.limit("max_fruitless", self.max_fruitless)
        for name in ("max_outage", "max_retry_after", "patience"):
            checks.number(name, getattr(self, name))
        for name in ("deadline", "idle_timeout", "progress_timeout"):
            checks.period(name, getattr(self, name))
        checks.number("time_scale", self.time_scale)
        checks.one_of("thinking", self.thinking, DELIVERY)
        checks.one_of("json", self.json, DELIVERY)
        checks.one_of("plain_calls", self.plain_calls, PLAIN_CALLS)
        if self.max_extra_tokens is not None:
            checks.natural("max_extra_tokens", self.max_extra_tokens)
        checks.that(
            self.budget is None or isinstance(self.budget, RetryBudget),
            "budget",
            "a RetryBudget or None",
        )
        self._complete_rules(checks)
        self._complete_continuation(checks)
        checks.raise_if_any()

    def _complete_rules(self, checks: Checks) -> None:
        rules = dict(DEFAULT_RULES)
        given: Any = self.rules
        checks.that(isinstance(given, Mapping), "rules", f"a mapping, not {given!r}")
        for kind, rule in given.items() if isinstance(given, Mapping) else ():
            known = kind in frozenset(FailureKind)
            checks.that(known, "rules", f"keyed by FailureKind, not {kind!r}")
            checks.that(isinstance(rule, Rule), "rules", f"made of Rule objects, not {rule!r}")
            if known:
                rules[FailureKind(kind)] = rule
        object.__setattr__(self, "rules", MappingProxyType(rules))

    def _complete_continuation(self, checks: Checks) -> None:
        given: Any = self.continuation
        if isinstance(given, Continuation):
            return
        checks.one_of("continuation", given, MODES)
        if given in MODES:
            object.__setattr__(self, "continuation", Continuation(given))

    @property
    def resuming(self) -> Continuation:
        """The continuation settings, also where `continuation` was given as a mode's name."""
        assert isinstance(self.continuation, Continuation)
        return self.continuation

    def replace(self, **changes: Any) -> Self:
        """Make a copy with some fields changed; the copy shares the budget.

        Raises:
            ValueError: As for `Policy()` itself.
            TypeError: If there is no such field.
        """
        return dataclasses.replace(self, **changes)

    def __reduce__(self) -> tuple[Any, ...]:
        """What it is copied and pickled by: `rules` cannot be as it is."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return _restored, (type(self), {**fields, "rules": dict(self.rules)})

    @classmethod
    def interactive(cls, patience: float = 20, **changes: Any) -> Self:
        """Make a policy for somebody who looks on: so many seconds at most for the next word.

        Half of them is for noticing that nothing comes (`idle_timeout`, `progress_timeout`), half
        for recovering (`max_outage`, `max_retry_after`); no wait is longer than a tenth. A model
        that thinks without a word for longer than a half needs a longer `progress_timeout`.

        Args:
            patience: Seconds, above 0.
            **changes: Fields of the policy to set otherwise; `rules` changes the kinds it names.

        Raises:
            ValueError: If `patience` or a field makes no sense; it names each wrong one.
            TypeError: If there is no such field.
        """
        return cls._preset(presets.interactive(patience), changes)

    @classmethod
    def batch(cls, patience: float = 6 * 3600, **changes: Any) -> Self:
        """Make a policy for work that nobody waits for: it goes on through outages of this length.

        Waits double until they are a tenth of `patience`, five minutes at most, so that many calls
        are no storm, and there is no retry budget.

        Args:
            patience: Seconds, above 0.
            **changes: Fields of the policy to set otherwise; `rules` changes the kinds it names.

        Raises:
            ValueError: If `patience` or a field makes no sense; it names each wrong one.
            TypeError: If there is no such field.
        """
        return cls._preset(presets.batch(patience), changes)

    @classmethod
    def _preset(cls, fields: dict[str, Any], changes: dict[str, Any]) -> Self:
        rules = changes.get("rules")
        if isinstance(rules, Mapping):
            changes = {**changes, "rules": {**fields["rules"], **rules}}
        return cls(**{**fields, **changes})

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Make the policy that `UNBROKEN_*` variables describe; the defaults where none is set.

        There is one for each field but `rules`, such as `UNBROKEN_MAX_ATTEMPTS=5` or
        `UNBROKEN_DEADLINE=none`; `UNBROKEN_BUDGET` takes the capacity, or `off`. For each kind of
        failure, `UNBROKEN_RETRY_CONFLICT=true` or `=false` says whether it is retried. A variable
        that is empty counts as not set; those that Kubernetes sets for a service of this name, such
        as `UNBROKEN_SERVICE_HOST`, and those of the journal and the gateway are passed over.

        Args:
            environ: The variables; `os.environ` if it is None.

        Raises:
            ValueError: If a variable has a wrong value, or no such variable exists; it names each.
        """
        environ = os.environ if environ is None else environ
        fields, switches = environment.read(environ, lambda field, value: cls(**{field: value}))
        rules = {kind: switched(kind, retry=retry) for kind, retry in switches.items()}
        return cls(**fields, rules=rules)


def _restored(cls: type[Policy], fields: dict[str, Any]) -> Policy:
    return cls(**fields)


_override: ContextVar[Policy | None] = ContextVar("unbroken.override", default=None)


@contextmanager
def override(policy: Policy) -> Iterator[Policy]:
    """Use `policy` for the calls begun inside this block, in this thread or task only.

    It takes the place of what the client was wrapped with. Blocks nest; a stream keeps the policy
    it was begun with.

    Args:
        policy: The policy.

    Raises:
        ValueError: If `policy` is not a `Policy`.
    """
    if not isinstance(policy, Policy):
        raise ValueError(f"override: policy must be a Policy, not {policy!r}")  # noqa: TRY004
    token = _override.set(policy)
    try:
        yield policy
    finally:
        # A generator around this may be finalised in another context, which has no override.
        with suppress(ValueError):
            _override.reset(token)


def current_policy(default: Policy) -> Policy:
    """The policy of the innermost `override()` around this code, else `default`."""
    return _override.get() or default
