"""Gets answers through cuts, and notes what became of each."""

from __future__ import annotations

import contextlib
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anthropic

import unbroken
from unbroken._cli.drill.joints import judge_joint
from unbroken._cli.problems import ProblemError, explained
from unbroken._cli.route import route_to
from unbroken._cli.sdk import has_credentials, http_library
from unbroken.testing import ChaosTransport, faults

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from unbroken._cli.drill.joints import Joint
    from unbroken._cli.prices import Price

__all__ = ["Drilled", "Question", "ask", "places"]

_EXACT = unbroken.SeamKind.EXACT
"""Of a prefill that ends as the text does: there is nothing to join."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked.

    Attributes:
        model: Of which model.
        prompt: The prompt.
        max_tokens: The longest answer.
    """

    model: str
    prompt: str
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Drilled:
    """One answer, and what became of it.

    Attributes:
        text: The answer.
        is_complete: Whether it is whole.
        problem: Why it is not.
        cuts: How many times it was cut.
        joints: Its joints, in order.
        interruptions: Why each attempt that was not cut here was interrupted: a reply that did not
            continue, or a real drop.
        requests: How many requests it took.
        input_tokens: The input tokens of all of them, cached or not.
        output_tokens: The output tokens of all of them, as far as known.
        dollars: What they cost; None if the price is unknown.
    """

    text: str
    is_complete: bool
    problem: str | None
    cuts: int
    joints: tuple[Joint, ...]
    interruptions: tuple[str, ...]
    requests: int
    input_tokens: int
    output_tokens: int
    dollars: float | None


def places(seed: str, length: int, cuts: int) -> list[int]:
    """Return where to cut an answer, in characters, at random.

    Args:
        seed: The same places for the same seed.
        length: How long the answer is, about.
        cuts: How many.
    """
    chance = random.Random(seed)  # noqa: S311
    return sorted(chance.sample(range(1, max(length, cuts + 1)), cuts))


def ask(
    question: Question,
    *,
    base_url: str | None,
    policy: unbroken.Policy,
    reference: str = "",
    cut_at: Sequence[int] = (),
    price: Price | None = None,
) -> Drilled:
    """Get one answer.

    Args:
        question: What to ask.
        base_url: Where requests go; the SDK's own choice if None.
        policy: How to recover.
        reference: The same answer without a cut.
        cut_at: Where to cut the answer, in characters.
        price: What the model costs.

    Raises:
        ProblemError: If no client can be made.
    """
    gaps = (at - before for before, at in zip((0, *cut_at), cut_at, strict=False))
    resumed: dict[int, int] = {}

    def note(event: unbroken.RecoveryEvent) -> None:
        if isinstance(event, unbroken.Resumed):
            resumed[event.attempt.number] = event.kept_chars

    with _client(base_url) as (client, chaos):
        chaos.script(*(faults.reset(after_chars=gap) for gap in gaps))
        text, report, problem = _stream(unbroken.wrap(client, policy, on_event=note), question)
    cut = {entry.number for entry in chaos.log if entry.happened}
    usages = [attempt.usage for attempt in report.attempts if attempt.usage is not None]
    return Drilled(
        text=text,
        is_complete=problem is None,
        problem=problem,
        cuts=len(cut),
        joints=tuple(
            judge_joint(reference, text, at, report.attempts[number - 1].seam or _EXACT)
            for number, at in resumed.items()
            if at
        ),
        interruptions=tuple(
            attempt.failure.detail
            for attempt in report.attempts
            if attempt.failure is not None
            and attempt.number not in cut
            and attempt.outcome is unbroken.Outcome.INTERRUPTED
        ),
        requests=len(report.attempts),
        input_tokens=sum(map(_input_of, usages)),
        output_tokens=sum(usage.output_tokens or 0 for usage in usages),
        dollars=None if price is None else sum(map(price.of, usages)),
    )


@contextlib.contextmanager
def _client(base_url: str | None) -> Iterator[tuple[anthropic.Anthropic, ChaosTransport]]:
    """A client whose requests can be broken, and what breaks them."""
    url: Any = {} if base_url is None else {"base_url": base_url}
    try:
        with anthropic.Anthropic(http_client=anthropic.DefaultHttpxClient(), **url) as plain:
            base = str(plain.base_url)
    except Exception as error:
        raise ProblemError(explained(error)) from error
    try:
        proxy = route_to(base).proxy
    except ValueError as error:
        raise ProblemError(str(error)) from error
    try:
        library = http_library()
        inner = library.HTTPTransport(proxy=None if proxy is None else proxy.geturl())
        chaos = ChaosTransport(inner, share=0)
        http_client = anthropic.DefaultHttpxClient(transport=chaos)
        client = anthropic.Anthropic(http_client=http_client, **url)
    except Exception as error:
        raise ProblemError(explained(error)) from error
    with client:
        if not has_credentials(client):
            raise ProblemError("there is no key: export ANTHROPIC_API_KEY=sk-ant-...")
        yield client, chaos


def _input_of(usage: unbroken.Usage) -> int:
    counts = (
        usage.input_tokens,
        usage.cache_creation_input_tokens,
        usage.cache_read_input_tokens,
    )
    return sum(count or 0 for count in counts)


def _stream(
    client: anthropic.Anthropic, question: Question
) -> tuple[str, unbroken.RecoveryReport, str | None]:
    """The text of an answer, the report, and why it is not whole."""
    asked: Any = {"role": "user", "content": question.prompt}
    text: list[str] = []
    try:
        with client.messages.stream(
            model=question.model, max_tokens=question.max_tokens, messages=[asked]
        ) as stream:
            text.extend(stream.text_stream)
            return "".join(text), unbroken.report(stream), None
    except anthropic.APIError as error:
        report = unbroken.report(error)
        kind = report.failure and report.failure.kind
        return "".join(text), report, f"{report.reason}, after {kind}"
