"""What a drop adds to the time of an answer, on loopback, beyond the wait before the retry.

    python -m benchmarks.recovery

Three calls take turns: an answer without a drop; the same with one drop in its middle; and a bare
request up to its first text, which is the round trip that a recovery cannot save. The recovery is
timed from the moment at which the drop is seen to the first new text that the caller gets.
"""

from __future__ import annotations

import argparse
import gc
import time
from typing import Any

import anthropic
from benchmarks import common
from benchmarks.serving import Settings, answer_to, serving

import unbroken
from unbroken.testing import faults

BOUND_MS = 5.0
CHARS = 600
AT = 300
DROPS: dict[str, Any] = {
    "reset": faults.reset(after_chars=AT),
    "clean end": faults.eof(after_chars=AT),
    "error event": faults.error_event("api_error", after_chars=AT),
}
MODELS = {"prefill": common.PREFILL_MODEL, "user turn": common.MODEL}


def call(client: anthropic.Anthropic, model: str, prompt: int) -> tuple[float, float]:
    """Read an answer; milliseconds to its first text and to its end."""
    begun = time.perf_counter()
    first = 0.0
    text = []
    with client.messages.create(
        model=model,
        max_tokens=4000,
        messages=[{"role": "user", "content": str(prompt)}],
        stream=True,
    ) as stream:
        for event in stream:
            if event.type == "content_block_delta" and event.delta.type == "text_delta":
                first = first or time.perf_counter()
                text.append(event.delta.text)
    ended = time.perf_counter()
    assert "".join(text) == answer_to(str(prompt), CHARS), "the answer is not exact"
    return (first - begun) * 1000, (ended - begun) * 1000


class Stopwatch:
    """Takes the time from each failure to the first new text after it."""

    def __init__(self) -> None:
        self.took: list[float] = []
        self._failed = 0.0

    def __call__(self, event: unbroken.RecoveryEvent) -> None:
        if isinstance(event, unbroken.AttemptFailed):
            self._failed = time.perf_counter()
        elif isinstance(event, unbroken.Resumed):
            self.took.append((time.perf_counter() - self._failed) * 1000)


def measure(model: str, drop: Any, rounds: int) -> dict[str, Any]:
    """Milliseconds of the three calls, in turn."""
    whole, dropped, trips = [], [], []
    watch = Stopwatch()
    # What is measured is the time beyond the wait, so there is none.
    policy = unbroken.Policy(time_scale=0, budget=None)
    with serving(Settings(CHARS)) as server:
        bare = anthropic.Anthropic(base_url=server.url, api_key="k")
        with unbroken.wrap(bare, policy, on_event=watch) as client:
            for number in range(rounds):
                gc.collect()
                whole.append(call(client, model, 3 * number)[1])
                server.script(drop)
                dropped.append(call(client, model, 3 * number + 1)[1])
                with anthropic.Anthropic(base_url=server.url, api_key="k") as fresh:
                    trips.append(call(fresh, model, 3 * number + 2)[0])
        requests = len(server.requests())
    assert len(watch.took) == rounds
    beyond = [took - trip for took, trip in zip(watch.took, trips, strict=True)]
    return {
        "whole_ms": common.spread(whole),
        "dropped_ms": common.spread(dropped),
        "recovery_ms": _figures(watch.took),
        "round_trip_ms": _figures(trips),
        "beyond_ms": _figures(beyond),
        "requests_a_drop": requests / rounds - 3,
    }


def _figures(values: list[float]) -> dict[str, float]:
    return common.spread(values) | {"p95": common.percentile(values, 95)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    results: dict[str, Any] = {"bound_ms": BOUND_MS, "rounds": rounds, "chars": CHARS, "cases": {}}
    for how, model in MODELS.items():
        for name, drop in DROPS.items():
            results["cases"][f"{name}, {how}"] = measure(model, drop, rounds)
            common.note(f"{name}, {how}: done")
    print(report(results))
    common.save("recovery", results)


def report(results: dict[str, Any]) -> str:
    """The table of results."""
    rows = []
    bound = results["bound_ms"]
    for name, case in results["cases"].items():
        recovery, trip, beyond = case["recovery_ms"], case["round_trip_ms"], case["beyond_ms"]
        rows.append(
            (
                name,
                f"{case['whole_ms']['median']:.1f}",
                f"{case['dropped_ms']['median']:.1f}",
                f"{recovery['median']:.2f} ({recovery['p95']:.2f})",
                f"{trip['median']:.2f} ({trip['p95']:.2f})",
                f"{beyond['median']:.2f}",
                f"{case['requests_a_drop']:g}",
                f"{bound:g} {common.within(beyond['median'], bound)}",
            )
        )
    head = ("drop, and how it is resumed", "answer ms", "with a drop ms", "recovery ms (p95)")
    more = ("round trip ms (p95)", "beyond it ms", "requests a drop", "bound holds")
    return common.table((*head, *more), rows)


if __name__ == "__main__":
    main()
