"""What the benchmarks share: prepared answers, where to run, and how results are kept."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import os
import platform
import statistics
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

RESULTS = Path(__file__).parent / "results"
MODEL = "claude-opus-4-8"
PREFILL_MODEL = "claude-haiku-4-5"

_PACKAGES = ("unbroken", "anthropic", "httpx2", "httpx", "anyio", "tenacity")
_SENTENCE = (
    "the stream goes on from where it was cut and every word of it arrives in order so that "
    "whoever reads it sees one answer with nothing missing and nothing said twice"
)
_WORDS = _SENTENCE.split()


# --- prepared answers


def prose(chars: int, seed: int = 0) -> str:
    """Words with a number now and then, so that no two places are alike."""
    out: list[str] = []
    size = number = 0
    while size < chars:
        word = _WORDS[(number * 7 + number // 11 + seed) % len(_WORDS)]
        if number % 9 == 8:
            word = f"{word} {seed}-{number}."
        out.append(word)
        size += len(word) + 1
        number += 1
    return " ".join(out)[:chars].rstrip().ljust(chars, ".")


def frame(data: dict[str, Any]) -> bytes:
    """An event as the API writes it."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return f"event: {data['type']}\ndata: {text}\n\n".encode()


_PIECES: dict[str, tuple[str, ...]] = {
    "text": (" and", " every", " word", " of it", " arrives", " in", " order", ".", " Then"),
    "code": ("    return", ' {"a"', ": 1", "}\n", "\n\ndef", " f", "():\n", " # it's", ' "x"'),
    "unicode": (" 流", "れは", "続く", "。", " Größe", " naïve", " — “so”", " 😀", "そして"),
    "thinking": (" so", " the", " user", " wants", " to", " know", " whether", ".", " First"),
}
_DELTAS = {"thinking": ("thinking_delta", "thinking"), "tool": ("input_json_delta", "partial_json")}
_STARTS: dict[str, dict[str, Any]] = {
    "thinking": {"type": "thinking", "thinking": "", "signature": ""},
    "tool": {"type": "tool_use", "id": "toolu_01", "name": "look_up", "input": {}},
}
# Tool calls and thinking are held until they are whole, so their length matters: a usual one.
_BLOCK_DELTAS = {"thinking": 300, "tool": 90}


def answer(kind: str, deltas: int) -> list[bytes]:
    """The frames of an answer with so many deltas.

    Args:
        kind: `text`, `code` (text full of escapes), `unicode`, `thinking`, or `tool`.
        deltas: How many.
    """
    frames = [opening()]
    size = _BLOCK_DELTAS.get(kind, deltas)
    for index, start in enumerate(range(0, deltas, size)):
        frames += _block(kind, index, min(size, deltas - start))
    return frames + ending("tool_use" if kind == "tool" else "end_turn")


def opening() -> bytes:
    """The first frame of an answer."""
    message: dict[str, Any] = {
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 25, "output_tokens": 1},
    }
    return frame({"type": "message_start", "message": message})


def ending(stop_reason: str = "end_turn") -> list[bytes]:
    """The last frames of an answer."""
    stop = {"stop_reason": stop_reason, "stop_sequence": None}
    delta = {"type": "message_delta", "delta": stop, "usage": {"output_tokens": 100}}
    return [frame(delta), frame({"type": "message_stop"})]


def _block(kind: str, index: int, deltas: int) -> Iterable[bytes]:
    delta_type, key = _DELTAS.get(kind, ("text_delta", "text"))
    start = _STARTS.get(kind, {"type": "text", "text": ""})
    yield frame({"type": "content_block_start", "index": index, "content_block": start})
    for piece in _tool_input(deltas) if kind == "tool" else _repeated(_PIECES[kind], deltas):
        delta = {"type": delta_type, key: piece}
        yield frame({"type": "content_block_delta", "index": index, "delta": delta})
    if kind == "thinking":
        signature = {"type": "signature_delta", "signature": "c2lnbmF0dXJl" * 20}
        yield frame({"type": "content_block_delta", "index": index, "delta": signature})
    yield frame({"type": "content_block_stop", "index": index})


def _repeated(pieces: Sequence[str], count: int) -> Iterable[str]:
    return itertools.islice(itertools.cycle(pieces), count)


def _tool_input(count: int, per_delta: int = 8) -> Iterable[str]:
    """One JSON object, cut into so many pieces."""
    entries = {f"key_{n}": [n, 'a "quoted" word', {"more": n / 4}] for n in range(count)}
    text = json.dumps(entries)[: count * per_delta - 20]
    whole = json.dumps({"path": "src/a.py", "content": text})
    size = -(-len(whole) // count)
    return [whole[at : at + size] for at in range(0, len(whole), size)]


def in_chunks(frames: Iterable[bytes], size: int) -> list[bytes]:
    """The same bytes in pieces of this size."""
    data = b"".join(frames)
    return [data[at : at + size] for at in range(0, len(data), size)]


# --- results


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, lowest, highest, and the middle half of some figures."""
    ordered = sorted(values)
    quarters = statistics.quantiles(ordered, n=4) if len(ordered) > 1 else [ordered[0]] * 3
    return {
        "median": statistics.median(ordered),
        "q1": quarters[0],
        "q3": quarters[2],
        "min": ordered[0],
        "max": ordered[-1],
    }


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that so many percent of the figures do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def machine() -> dict[str, Any]:
    """Where this runs."""
    cpu = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0].partition(":")[2].strip() if names else cpu
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def versions(names: Iterable[str] = _PACKAGES) -> dict[str, str]:
    """The installed versions of packages, of those that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def save(name: str, results: dict[str, Any]) -> Path:
    """Keep results as JSON, with the date, the machine and the versions."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    about = {
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        "machine": machine(),
        "versions": versions(),
    }
    path.write_text(json.dumps({**about, **results}, indent=1) + "\n")
    return path


def load(name: str) -> dict[str, Any] | None:
    """Results that were kept, if they were."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table in Markdown, readable as it is."""
    cells = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    lines = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    rule = "|" + "|".join("-" * (w + 2) for w in widths) + "|"
    return "\n".join((lines[0], rule, *lines[1:]))


def within(value: float, bound: float) -> str:
    """Whether a bound holds, in a word."""
    return "yes" if value <= bound else "NO"


def note(line: str) -> None:
    """Tell the user what goes on, apart from the results."""
    print(line, file=sys.stderr, flush=True)
