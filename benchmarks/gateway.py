"""What the gateway costs, in processes of their own: an upstream, a gateway, and this client.

    python -m benchmarks.gateway
    python -m benchmarks.gateway --litellm ~/litellm/bin/litellm    against its proxy, in one run

The upstream writes events one by one, at a pace. Costs are processor time of the gateway, so that a
busy machine does not change them much.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import common

if TYPE_CHECKING:
    from collections.abc import Iterator

EVENTS = 200
PACE = 0.02
STREAMS = 50
SLOW_STREAMS = 1000
FIRSTS = 200
LEAVING = 50

_UPSTREAM = """
import asyncio, json, sys, time
from benchmarks.common import frame
EVENTS, PACE = int(sys.argv[2]), float(sys.argv[3])
usage = {"input_tokens": 1, "output_tokens": 1}
message = {"id": "m", "type": "message", "role": "assistant", "model": "claude-opus-4-8",
           "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
block = {"type": "text", "text": ""}
start = [frame({"type": "message_start", "message": message}),
         frame({"type": "content_block_start", "index": 0, "content_block": block})]
delta = frame({"type": "content_block_delta", "index": 0,
               "delta": {"type": "text_delta", "text": " some words"}})
end = [frame({"type": "content_block_stop", "index": 0}),
       frame({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None},
              "usage": {"output_tokens": 9}}), frame({"type": "message_stop"})]
gone = []
async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            size = [l for l in head.lower().split(b"\\r\\n") if l.startswith(b"content-length")]
            body = await reader.readexactly(int(size[0].split(b":")[1])) if size else b""
            if head.startswith(b"GET /gone"):
                told = json.dumps(gone).encode()
                writer.write(b"HTTP/1.1 200 OK\\r\\n")
                writer.write(b"content-length: %d\\r\\n\\r\\n%b" % (len(told), told))
                continue
            writer.write(b"HTTP/1.1 200 OK\\r\\ncontent-type: text/event-stream\\r\\n"
                         b"transfer-encoding: chunked\\r\\n\\r\\n")
            for one in (*start, *[delta] * EVENTS, *end):
                writer.write(b"%x\\r\\n%b\\r\\n" % (len(one), one))
                await writer.drain()
                if one is delta:
                    await asyncio.sleep(PACE)
                    if reader.at_eof():
                        gone.append(time.time())
                        return
            writer.write(b"0\\r\\n\\r\\n")
    except (ConnectionError, asyncio.IncompleteReadError):
        gone.append(time.time())
    finally:
        writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]), backlog=4096)
    await server.serve_forever()
asyncio.run(main())
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as made:
        return int(made.getsockname()[1])


class Process:
    """A server in a process of its own."""

    def __init__(self, command: list[str], port: int, **environment: str) -> None:
        self.port = port
        self._process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def wait(self) -> None:
        until = time.monotonic() + 90
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                time.sleep(1)
                return
            time.sleep(0.1)
        raise RuntimeError("a server does not start")

    def _stat(self) -> list[str]:
        path = Path(f"/proc/{self._process.pid}/stat")
        return path.read_text().rpartition(")")[2].split()

    @property
    def seconds(self) -> float:
        """Processor time so far."""
        fields = self._stat()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def memory(self) -> int:
        """Bytes of memory."""
        return int(self._stat()[21]) * os.sysconf("SC_PAGE_SIZE")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def upstream(events: int, pace: float) -> Iterator[Process]:
    port = free_port()
    made = Process([sys.executable, "-c", _UPSTREAM, str(port), str(events), str(pace)], port)
    try:
        made.wait()
        yield made
    finally:
        made.close()


@contextlib.contextmanager
def unbroken(url: str) -> Iterator[Process]:
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "unbroken", "serve", "--port", str(port)]
        journal = f"sqlite:///{folder}/streams.db"
        made = Process([*command, "--upstream", url, "--journal", journal], port)
        try:
            made.wait()
            yield made
        finally:
            made.close()


@contextlib.contextmanager
def litellm(program: str, url: str) -> Iterator[Process]:
    """Its proxy, as its documentation sets it up for production, without a database."""
    port = free_port()
    model = {"model": f"anthropic/{common.MODEL}", "api_base": url, "api_key": "test"}
    config = {
        "model_list": [{"model_name": common.MODEL, "litellm_params": model}],
        "litellm_settings": {"set_verbose": False, "json_logs": True},
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.yaml"
        file.write_text(json.dumps(config))
        command = [program, "--config", str(file), "--port", str(port), "--num_workers", "1"]
        environment = {"LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION", **_KEYLESS}
        made = Process([*command, "--host", "127.0.0.1"], port, **environment)
        try:
            made.wait()
            time.sleep(5)
            yield made
        finally:
            made.close()


_KEYLESS = {"LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true"}
BODY = json.dumps(
    {
        "model": common.MODEL,
        "max_tokens": 4096,
        "stream": True,
        "messages": [{"role": "user", "content": "Tell me a story."}],
    }
).encode()
REQUEST = (
    b"POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nx-api-key: test\r\n"
    b"authorization: Bearer test\r\nanthropic-version: 2023-06-01\r\n"
    b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY)
)


async def connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port)


async def read_whole(port: int) -> int:
    """Read an answer; return how many deltas came."""
    reader, writer = await connect(port)
    writer.write(REQUEST)
    got = b""
    while b"message_stop" not in got[-400:]:
        part = await asyncio.wait_for(reader.read(65536), 120)
        if not part:
            break
        got += part
    writer.close()
    return got.count(b"event: content_block_delta")


async def firsts(port: int, count: int) -> list[float]:
    """Seconds to the first event, one after another on one connection each."""
    found = []
    for _ in range(count):
        reader, writer = await connect(port)
        began = time.perf_counter()
        writer.write(REQUEST)
        await reader.readuntil(b"message_start")
        found.append(time.perf_counter() - began)
        writer.close()
        await asyncio.sleep(0.05)  # what ends is not to be measured
    return found


async def leavings(port: int, count: int) -> list[float]:
    """When each of some readers left."""
    left = []
    for _ in range(count):
        reader, writer = await connect(port)
        writer.write(REQUEST)
        await reader.readuntil(b"content_block_delta")
        await asyncio.sleep(0.05)
        left.append(time.time())
        writer.transport.abort()
        await asyncio.sleep(0.15)
    return left


async def together(port: int, count: int) -> list[int]:
    return list(await asyncio.gather(*(read_whole(port) for _ in range(count))))


async def gone(port: int) -> list[float]:
    reader, writer = await connect(port)
    writer.write(b"GET /gone HTTP/1.1\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    size = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    told: list[float] = json.loads(await reader.readexactly(size))
    writer.close()
    return told


def throughput(process: Process, count: int = STREAMS) -> dict[str, Any]:
    asyncio.run(together(process.port, 4))  # warm
    before, began = process.seconds, time.perf_counter()
    deltas = asyncio.run(together(process.port, count))
    spent, took = process.seconds - before, time.perf_counter() - began
    return {
        "whole": deltas.count(EVENTS),
        "of": count,
        "events_per_cpu_second": round(sum(deltas) / spent),
        "seconds": round(took, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--litellm", help="its program; without it, only ours is measured")
    options = parser.parse_args()
    results: dict[str, Any] = {}
    with upstream(EVENTS, PACE) as api, unbroken(f"http://127.0.0.1:{api.port}") as ours:
        results["events, unbroken"] = throughput(ours)
        if options.litellm:
            with litellm(options.litellm, f"http://127.0.0.1:{api.port}") as theirs:
                results["events, litellm"] = throughput(theirs)
                results["first event, litellm"] = _first(api, theirs)
        results["first event, unbroken"] = _first(api, ours)
    with upstream(1000, 0.01) as api, unbroken(f"http://127.0.0.1:{api.port}") as ours:
        asyncio.run(firsts(ours.port, 5))
        left = asyncio.run(leavings(ours.port, LEAVING))
        ended = asyncio.run(gone(api.port))[-LEAVING:]
        waits = [1000 * (end - leave) for end, leave in zip(ended, left, strict=True)]
        results["a reader's leaving, ms"] = round(statistics.median(waits), 1)
    with upstream(20, 2.0) as api, unbroken(f"http://127.0.0.1:{api.port}") as ours:
        asyncio.run(firsts(ours.port, 20))
        results["slow streams"] = _slow(ours)
    for name, result in results.items():
        print(f"{name}: {result}")


def _first(api: Process, gateway: Process) -> dict[str, float]:
    asyncio.run(firsts(gateway.port, 20))
    direct = statistics.median(asyncio.run(firsts(api.port, FIRSTS)))
    through = statistics.median(asyncio.run(firsts(gateway.port, FIRSTS)))
    return {"direct_ms": round(1000 * direct, 2), "added_ms": round(1000 * (through - direct), 2)}


def _slow(gateway: Process) -> dict[str, Any]:
    before, most = gateway.memory, 0

    async def watch() -> list[int]:
        nonlocal most
        reading = asyncio.create_task(together(gateway.port, SLOW_STREAMS))
        while not reading.done():
            most = max(most, gateway.memory)
            await asyncio.sleep(0.5)
        return reading.result()

    deltas = asyncio.run(watch())
    each = (most - before) / SLOW_STREAMS / 1024
    return {"whole": deltas.count(20), "of": SLOW_STREAMS, "kib_each": round(each, 1)}


if __name__ == "__main__":
    main()
