"""What a wrapped stream keeps in memory, and how its time grows, with the length of the answer.

    python -m benchmarks.memory

Memory is what tracemalloc counts, each figure in a process of its own, with the bare client's own
taken off: `kept` is held when the last of the text has been read and the stream is still open,
`peak` is the most at any time. Frames are made as they are read, so no answer lies about. Time is
of a process without tracemalloc. Drops lie evenly in the answer, and are resumed both ways.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import anthropic
from benchmarks import common

import unbroken
from unbroken._doors.http import library_of

if TYPE_CHECKING:
    from collections.abc import Iterator

LENGTHS = (10_000, 100_000, 1_000_000, 10_000_000)
DROPS = (0, 1, 50)
MODELS = {"prefill": common.PREFILL_MODEL, "user turn": common.MODEL}
LINEAR = (100_000, 200_000, 400_000, 1_000_000)
PER_DELTA = 20
BOUND = "2 x text + 64 KiB"

http: Any = library_of(anthropic.DefaultHttpxClient)


def bound(chars: int) -> int:
    """The bytes that a stream may keep."""
    return 2 * chars + 64 * 1024


class Service:
    """Says an answer, and drops it every so many characters."""

    def __init__(self, chars: int, drops: int) -> None:
        self.text = common.prose(chars)
        self._every = chars // (drops + 1) + 1
        self._drops = drops
        self.requests = 0

    def respond(self, request: Any) -> Any:
        self.requests += 1
        turns = json.loads(request.content)["messages"]
        said = [turn["content"] for turn in turns if turn["role"] == "assistant"]
        have = said[-1] if said else ""
        if not isinstance(have, str):
            have = "".join(block["text"] for block in have)
        headers = {"content-type": "text/event-stream"}
        return http.Response(200, headers=headers, content=self._body(len(have)))

    def _body(self, at: int) -> Iterator[bytes]:
        block = {"type": "content_block_start", "index": 0}
        yield common.opening()
        yield common.frame({**block, "content_block": {"type": "text", "text": ""}})
        cut = self.requests <= self._drops
        end = min(self.requests * self._every, len(self.text)) if cut else len(self.text)
        for begin in range(at, end, PER_DELTA):
            piece = {"type": "text_delta", "text": self.text[begin : min(begin + PER_DELTA, end)]}
            yield common.frame({"type": "content_block_delta", "index": 0, "delta": piece})
        if cut:
            raise http.ReadError("the connection broke")
        yield common.frame({"type": "content_block_stop", "index": 0})
        yield from common.ending()


def read(options: argparse.Namespace) -> dict[str, Any]:
    """Read one answer in this process, and tell what that took."""
    service = Service(options.chars, options.drops)
    transport = http.MockTransport(service.respond)
    client: Any = anthropic.Anthropic(
        api_key="k", base_url="http://test", http_client=http.Client(transport=transport)
    )
    if options.wrapped:
        policy = unbroken.Policy(time_scale=0, max_attempts=10_000, budget=None)
        client = unbroken.wrap(client, policy)
    model = MODELS[options.way]
    _read_one(client, model, Service(100, 0), transport)  # warms up
    gc.collect()
    if options.traced:
        tracemalloc.start()
    begun = time.process_time()
    chars, kept = _read_one(client, model, service, transport)
    took = time.process_time() - begun
    peak = tracemalloc.get_traced_memory()[1] if options.traced else 0
    assert chars == options.chars, (chars, options.chars)
    assert service.requests == options.drops + 1
    return {"kept": kept, "peak": peak, "seconds": took}


def _read_one(client: Any, model: str, service: Service, transport: Any) -> tuple[int, int]:
    transport.handler = service.respond
    chars = kept = 0
    stream = client.messages.create(
        model=model,
        max_tokens=10_000_000,
        messages=[{"role": "user", "content": "Go"}],
        stream=True,
    )
    for event in stream:
        if event.type == "content_block_delta":
            chars += len(event.delta.text)
        elif event.type == "content_block_stop" and tracemalloc.is_tracing():
            del event
            gc.collect()
            kept = tracemalloc.get_traced_memory()[0]
    return chars, kept


def in_process(
    *, chars: int, drops: int = 0, way: str = "prefill", wrapped: bool, traced: bool
) -> dict[str, Any]:
    """The figures of one answer, read in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.memory", "--chars", str(chars)]
    command += ["--drops", str(drops), "--way", way]
    command += ["--wrapped"] * wrapped + ["--traced"] * traced
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise SystemExit(ran.stderr)
    figures: dict[str, Any] = json.loads(ran.stdout)
    return figures


def measure_memory(longest: int) -> list[dict[str, Any]]:
    """Bytes that wrapped streams keep on top of what bare ones do."""
    rows = []
    for chars in (length for length in LENGTHS if length <= longest):
        bare = in_process(chars=chars, wrapped=False, traced=True)
        for drops in DROPS:
            for way in MODELS if drops else ["prefill"]:
                own = in_process(chars=chars, drops=drops, way=way, wrapped=True, traced=True)
                row = {"chars": chars, "drops": drops, "way": way if drops else ""}
                row |= {name: own[name] - bare[name] for name in ("kept", "peak")}
                rows.append(row | {"bound": bound(chars)})
                common.note(f"{row}")
    return rows


def measure_time(rounds: int) -> list[dict[str, Any]]:
    """Processor seconds, for longer and longer answers."""
    rows = []
    for way, drops in (("prefill", 0), ("prefill", 50), ("user turn", 50)):
        for chars in LINEAR:
            took = [
                in_process(chars=chars, drops=drops, way=way, wrapped=True, traced=False)
                for _ in range(rounds)
            ]
            seconds = min(one["seconds"] for one in took)
            rows.append({"chars": chars, "drops": drops, "way": way, "seconds": seconds})
            common.note(f"{rows[-1]}")
    return rows


def report(results: dict[str, Any]) -> str:
    """The tables of results."""
    memory = [
        (
            f"{row['chars']:,}",
            row["drops"],
            row["way"],
            f"{row['kept'] / 1024:,.0f}",
            f"{row['peak'] / 1024:,.0f}",
            f"{row['bound'] / 1024:,.0f}",
            common.within(row["kept"], row["bound"]),
        )
        for row in results["memory"]
    ]
    times = [
        (
            row["way"] if row["drops"] else "",
            row["drops"],
            f"{row['chars']:,}",
            f"{row['seconds']:.2f}",
            f"{row['seconds'] / row['chars'] * 1e6:.2f}",
        )
        for row in results["time"]
    ]
    head = ("characters", "drops", "resumed by", "kept KiB", "peak KiB", "bound KiB")
    return "\n\n".join(
        (
            common.table((*head, "kept within it"), memory),
            common.table(("resumed by", "drops", "characters", "s", "µs a character"), times),
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--longest", type=int, default=LENGTHS[-1])
    parser.add_argument("--rounds", type=int, default=3)
    for name in ("chars", "drops"):
        parser.add_argument(f"--{name}", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--way", choices=MODELS, help=argparse.SUPPRESS)
    for name in ("wrapped", "traced"):
        parser.add_argument(f"--{name}", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.chars:
        print(json.dumps(read(options)))
        return
    results = {
        "bound": BOUND,
        "memory": measure_memory(options.longest),
        "time": measure_time(options.rounds),
    }
    print(report(results))
    common.save("memory", results)


if __name__ == "__main__":
    main()
