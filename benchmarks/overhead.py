"""What a wrapped client costs while nothing goes wrong, an event, against the bare one.

    python -m benchmarks.overhead              times and instructions
    python -m benchmarks.overhead --no-counts  times only (no valgrind)

The bytes come from memory, so neither network nor server is in the figures. Both clients take
turns in one process. Instructions are counted by callgrind between two marks in one process: a
call of `getloadavg`, which nothing else makes, ends one count and begins the next.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import anthropic
from benchmarks import common

import unbroken
from unbroken._doors.http import library_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

BOUNDS = {"stream": 1.05, "create": 1.12}
COUNTED = 600  # events; callgrind takes its time
KINDS = ("text", "code", "unicode", "tool", "thinking")
CHUNKS = {"event": None, "16 KB": 16384}

http: Any = library_of(anthropic.DefaultHttpxClient)


class Case(NamedTuple):
    """One thing to measure, for both clients."""

    api: str
    mode: str
    kind: str
    chunk: str

    @property
    def name(self) -> str:
        return f"{self.api} {self.mode} {self.kind} {self.chunk}"


CASES = [
    Case(*case)
    for case in itertools.product(BOUNDS, ("sync", "async"), KINDS, CHUNKS)
    if case[3] == "event" or case[2] == "text"
]


class Bench:
    """Reads prepared answers with a bare and a wrapped client."""

    def __init__(self, events: int) -> None:
        self.events = events
        self._chunks: list[bytes] = []
        transport = http.MockTransport(self._respond)
        base: dict[str, Any] = {"api_key": "k", "base_url": "http://test", "max_retries": 0}
        sync = anthropic.Anthropic(**base, http_client=http.Client(transport=transport))
        transport = http.MockTransport(self._respond_async)
        aio = anthropic.AsyncAnthropic(**base, http_client=http.AsyncClient(transport=transport))
        self._clients: dict[tuple[str, bool], Any] = {
            ("sync", False): sync,
            ("sync", True): unbroken.wrap(sync),
            ("async", False): aio,
            ("async", True): unbroken.wrap(aio),
        }

    def _respond(self, _request: Any) -> Any:
        headers = {"content-type": "text/event-stream"}
        return http.Response(200, headers=headers, content=iter(self._chunks))

    async def _respond_async(self, _request: Any) -> Any:
        headers = {"content-type": "text/event-stream"}
        return http.Response(200, headers=headers, content=_each(self._chunks))

    def prepare(self, case: Case) -> None:
        frames = common.answer(case.kind, self.events)
        size = CHUNKS[case.chunk]
        self._chunks = common.in_chunks(frames, size) if size else frames

    async def run(self, case: Case, *, wrapped: bool, mark: Callable[[], Any]) -> tuple[Any, Any]:
        """Read the prepared answer; return what the mark gave at its first event and its end."""
        call: dict[str, Any] = {
            "model": common.MODEL,
            "max_tokens": 1000,
            "messages": [{"role": "user", "content": "Go"}],
        }
        client = self._clients[case.mode, wrapped]
        if case.mode == "sync":
            return _read(_opened(client, case, call), mark)
        return await _read_async(_opened(client, case, call), mark)


def _opened(client: Any, case: Case, call: dict[str, Any]) -> Any:
    if case.api == "stream":
        return client.messages.stream(**call)
    return client.messages.create(**call, stream=True)


def _read(opened: Any, mark: Callable[[], Any]) -> tuple[Any, Any]:
    with opened as stream:
        next(stream)
        begun = mark()
        for _ in stream:
            pass
        return begun, mark()


async def _read_async(opened: Any, mark: Callable[[], Any]) -> tuple[Any, Any]:
    async with opened if hasattr(opened, "__aenter__") else await opened as stream:
        await anext(stream)
        begun = mark()
        async for _ in stream:
            pass
        return begun, mark()


async def _each(chunks: list[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


# --- times


async def measure_times(events: int, rounds: int) -> dict[str, dict[str, Any]]:
    """Microseconds an event, both clients in turn, the first one changing."""
    bench = Bench(events)
    results = {}
    for case in CASES:
        bench.prepare(case)
        took: dict[bool, list[float]] = {False: [], True: []}
        for number in range(rounds + 1):
            for wrapped in (False, True) if number % 2 else (True, False):
                gc.collect()
                begun, ended = await bench.run(case, wrapped=wrapped, mark=time.process_time)
                if number:  # the first round warms up
                    took[wrapped].append((ended - begun) / events * 1e6)
        ratios = [w / b for b, w in zip(took[False], took[True], strict=True)]
        results[case.name] = {
            "bare_us": common.spread(took[False]),
            "wrapped_us": common.spread(took[True]),
            "ratio": common.spread(ratios),
        }
        common.note(f"{case.name}: {results[case.name]['ratio']['median']:.3f} in time")
    return results


# --- instructions


def count_instructions(events: int) -> dict[str, dict[str, Any]]:
    """Instructions an event, under callgrind."""
    marks = _marked_counts(events)
    results: dict[str, dict[str, Any]] = {}
    for case in CASES:
        bare, wrapped = (next(marks) / events for _ in range(2))
        results[case.name] = {"bare": bare, "wrapped": wrapped, "ratio": wrapped / bare}
    return results


def _marked_counts(events: int) -> Iterator[int]:
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *("valgrind", "--tool=callgrind", "--dump-before=getloadavg"),
            f"--callgrind-out-file={folder}/out",
            *(sys.executable, "-m", "benchmarks.overhead", "--counted", str(events)),
        ]
        env = {**os.environ, "PYTHONHASHSEED": "0"}
        ran = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        if ran.returncode:
            raise SystemExit(ran.stderr)
        # Dump n holds what came before mark n, so each even one is between two marks.
        for number in range(2, 4 * len(CASES) + 1, 2):
            text = Path(f"{folder}/out.{number}").read_text()
            found = re.search(r"^totals: (\d+)", text, re.MULTILINE)
            assert found is not None
            yield int(found[1])


async def run_counted(events: int) -> None:
    """What callgrind runs: each case with both clients, marked."""
    bench = Bench(events)
    for case in CASES:
        bench.prepare(case)
        for wrapped in (False, True):
            await bench.run(case, wrapped=wrapped, mark=int)  # warms up
            gc.collect()
            await bench.run(case, wrapped=wrapped, mark=os.getloadavg)


# --- the command


def report(results: dict[str, Any]) -> str:
    """The table of results."""
    rows = []
    for case in CASES:
        bound = BOUNDS[case.api]
        took = results["times"][case.name]
        counted = results["instructions"].get(case.name)
        ratio = took["ratio"]
        in_time = common.within(ratio["median"], bound)
        holds = f"{common.within(counted['ratio'], bound)}, {in_time}" if counted else in_time
        rows.append(
            (
                f"`{case.api}` {case.mode}",
                case.kind,
                case.chunk,
                f"{counted['bare'] / 1000:.1f} k" if counted else "",
                f"{counted['wrapped'] / 1000:.1f} k" if counted else "",
                f"{counted['ratio']:.3f}" if counted else "",
                f"{took['bare_us']['median']:.1f}",
                f"{took['wrapped_us']['median']:.1f}",
                f"{ratio['median']:.3f} ({ratio['q1']:.2f} to {ratio['q3']:.2f})",
                f"{bound} {holds}",
            )
        )
    head = ("call", "content", "chunk", "instr. bare", "wrapped", "ratio", "µs bare", "wrapped")
    return common.table((*head, "ratio (middle half)", "bound holds"), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1800)
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--no-counts", action="store_true")
    parser.add_argument("--counted", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.counted:
        asyncio.run(run_counted(options.counted))
        return
    results: dict[str, Any] = {
        "events": options.events,
        "rounds": options.rounds,
        "bounds": BOUNDS,
        "instructions": {},
        "times": asyncio.run(measure_times(options.events, options.rounds)),
    }
    if not options.no_counts and shutil.which("valgrind"):
        results["instructions"] = count_instructions(COUNTED)
    print(report(results))
    common.save("overhead", results)


if __name__ == "__main__":
    main()
